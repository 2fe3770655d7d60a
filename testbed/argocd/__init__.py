"""A stand-in for Argo CD: it keeps state, speaks the paths of its REST API that are used here, and really delivers.

It follows a branch of a git remote and applies a revision by pushing it to the "cluster": a bare repository whose
`main` the platform follows. What it says of health is what the platform's own `/version` says, unless a fault is
switched on.
"""

from __future__ import annotations

from testbed.argocd.accounts import Account
from testbed.argocd.application import Application
from testbed.argocd.exchange import Exchange
from testbed.argocd.faults import Fault
from testbed.argocd.server import ArgoCd

__all__ = ["Account", "Application", "ArgoCd", "Exchange", "Fault"]
