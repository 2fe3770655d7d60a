{{- define "evercrew.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}

{{- define "evercrew.labels" -}}
app.kubernetes.io/name: evercrew
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "evercrew.selector" -}}
app.kubernetes.io/name: evercrew
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "evercrew.account" -}}
{{- if .Values.serviceAccount.name }}{{ .Values.serviceAccount.name }}{{ else }}{{ include "evercrew.name" . }}{{ end -}}
{{- end -}}

{{- define "evercrew.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{- define "evercrew.claim" -}}
{{- if .Values.persistence.existingClaim }}{{ .Values.persistence.existingClaim }}{{ else }}{{ printf "%s-state" (include "evercrew.name" .) }}{{ end -}}
{{- end -}}
