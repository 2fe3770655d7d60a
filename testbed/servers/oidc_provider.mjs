// A real OpenID provider (npm oidc-provider) for tests: four people, one confidential and one public client, and a
// machine. Whoever is to sign in is named in the address of the interaction, in place of a form.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const options = JSON.parse(process.argv[2]);
const people = {
  ines: { preferred_username: 'ines', groups: ['ml-admins', 'everybody'] },
  omar: { preferred_username: 'omar', groups: ['ml-approvers'] },
  bob: { preferred_username: 'bob', groups: ['ml-admins'] },
  eve: { preferred_username: 'eve', groups: ['everybody'] },
};

function key(kid, kind, more) {
  const { privateKey } = generateKeyPairSync(kind, more);
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig' };
}

const client = { redirect_uris: [options.redirect], grant_types: ['authorization_code'], response_types: ['code'] };
const provider = new Provider(options.issuer, {
  clients: [
    { ...client, client_id: 'evercrew', client_secret: options.secret, token_endpoint_auth_method: options.method },
    { ...client, client_id: 'evercrew-public', token_endpoint_auth_method: 'none' },
    {
      client_id: 'robot',
      client_secret: options.secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  jwks: { keys: [key('rsa-1', 'rsa', { modulusLength: 2048 }), key('ec-1', 'ec', { namedCurve: 'P-256' })] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
  scopes: ['openid', 'profile', 'groups'],
  pkce: { required: () => true },
  findAccount: (_ctx, id) =>
    people[id] && { accountId: id, claims: () => ({ sub: `subject-of-${id}`, ...people[id] }) },
  extraTokenClaims: (_ctx, token) =>
    token.kind === 'ClientCredentials' ? { preferred_username: 'robot', groups: options.robotGroups } : undefined,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'view',
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: 'ES256', kid: 'ec-1' } },
      }),
    },
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
});

async function finished(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  const who = new URL(request.url, options.issuer).searchParams.get('as');
  if (who === 'nobody') {
    return provider.interactionFinished(request, response, { error: 'access_denied' });
  }
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: who } });
  }
  const accountId = session.accountId;
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

const answer = provider.callback();
createServer((request, response) => {
  if (request.url.startsWith('/interaction/')) {
    finished(request, response).catch((problem) => {
      response.statusCode = 400;
      response.end(String(problem));
    });
  } else {
    answer(request, response);
  }
}).listen(options.port, '127.0.0.1');
