import { expect, test } from 'vitest'
import { plainHttpRefusal, realmRefusal } from './realm.ts'

interface Rules {
  readonly trustedRealms?: readonly string[]
  readonly insecure?: boolean
}

/** Whether a registry's realm may be asked: with credentials, and without. */
function allowed(registry: string, realm: string, { trustedRealms = [], insecure = false }: Rules = {}) {
  const rules = { base: new URL(registry), trustedRealms, insecure }
  const [withCredentials, anonymous] = [true, false].map(
    (has) => realmRefusal(new URL(realm), rules, has) === undefined,
  )
  return { withCredentials, anonymous }
}

const both = { withCredentials: true, anonymous: true }
const anonymously = { withCredentials: false, anonymous: true }
const neither = { withCredentials: false, anonymous: false }

test.each([
  ['https://ghcr.io', 'https://ghcr.io/token', both],
  ['https://registry.example:5000', 'https://registry.example/token', both],
  ['https://registry.example.', 'https://registry.example/token', both],
  ['https://REGISTRY.example', 'https://registry.EXAMPLE/token', both],
  ['https://registry-1.docker.io', 'https://auth.docker.io/token', both],
  ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', both],
  ['https://registry.team.corp.example', 'https://auth.corp.example/token', both],
  // The public suffix list knows that these belong to different people.
  ['https://a.co.uk', 'https://b.co.uk/token', anonymously],
  ['https://a.github.io', 'https://b.github.io/token', anonymously],
  ['https://registry.example.com', 'https://auth.stranger.com/token', anonymously],
  ['https://docker.io', 'https://docker.io.stranger.com/token', anonymously],
  ['https://registry.example.com', 'https://registry.example.com@stranger.com/token', anonymously],
  // Not to be had from the internet, so the registry has no business there.
  ['https://registry.example.com', 'https://vault.internal/token', neither],
  ['https://registry.example.com', 'https://router/token', neither],
  ['https://registry.example.com', 'https://localhost/token', neither],
  ['https://a.b.localhost', 'https://c.b.localhost/token', neither],
  ['https://registry.example.com', 'https://127.0.0.1/token', neither],
  ['https://registry.example.com', 'https://2130706433/token', neither],
  ['https://registry.example.com', 'https://[::1]/token', neither],
  ['https://registry.example.com', 'https://169.254.169.254/latest/meta-data', neither],
  ['https://registry.example.com', 'https://8.8.8.8/token', neither],
  // Except where the registry itself is.
  ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token', both],
  ['http://[::1]:5000', 'http://[::1]:5001/token', both],
  ['http://localhost:5000', 'http://localhost:5001/token', both],
  ['https://10.0.0.1', 'https://10.0.0.1:8443/token', both],
  ['https://10.0.0.1', 'https://10.0.0.2/token', neither],
  // Never less protected than the registry.
  ['https://registry.example.com', 'http://registry.example.com/token', neither],
  ['https://registry.example.com', 'ftp://registry.example.com/token', neither],
  // Over plain http everybody on the way would learn the password.
  ['http://registry.example.com', 'http://registry.example.com/token', anonymously],
  ['http://registry.example.com', 'http://auth.example.com/token', anonymously],
  ['http://registry.example.com', 'https://auth.example.com/token', both],
  ['http://registry.example.com', 'http://auth.stranger.com/token', neither],
])('a registry at %s with its realm at %s: %o', (registry, realm, expected) => {
  expect(allowed(registry, realm)).toEqual(expected)
})

test.each([
  ['https://auth.stranger.com/token', ['auth.stranger.com'], both],
  ['https://auth.stranger.com:8443/token', ['auth.stranger.com'], both],
  ['https://auth.stranger.com:8443/token', ['AUTH.stranger.com:8443'], both],
  ['https://auth.stranger.com/token', ['stranger.com'], anonymously],
  ['https://auth.stranger.com:8443/token', ['auth.stranger.com:443'], anonymously],
  ['https://10.0.0.2/token', ['10.0.0.2'], both],
  ['http://auth.stranger.com/token', ['auth.stranger.com'], neither],
])('a realm at %s with trusted ones at %o: %o', (realm, trustedRealms, expected) => {
  expect(allowed('https://registry.example.com', realm, { trustedRealms })).toEqual(expected)
})

test('an insecure upstream may be sent credentials without https, but not an https one elsewhere without', () => {
  expect(allowed('http://registry.example.com', 'http://auth.example.com/', { insecure: true })).toEqual(both)
  expect(allowed('https://registry.example.com', 'http://auth.example.com/', { insecure: true })).toEqual(neither)
})

test('a refusal names the host and the setting that would allow it, and not the rest of the URL', () => {
  const rules = { base: new URL('https://registry.example.com'), trustedRealms: [], insecure: false }
  const refusal = realmRefusal(new URL('https://user:hidden@auth.stranger.com/hidden?hidden'), rules, true)
  expect(refusal?.code).toBe('UNAUTHORIZED')
  expect(refusal?.message).toMatch(/auth\.stranger\.com .*trustedRealms/)
  expect(refusal?.message).not.toContain('hidden')
})

test.each([
  ['https://registry.example', true],
  ['http://127.0.0.1:5000', true],
  ['http://127.1.2.3', true],
  ['http://[::1]', true],
  ['http://localhost', true],
  ['http://127.0.0.1.stranger.com', false],
  ['http://10.0.0.1', false],
])('credentials may be sent to %s: %s', (url, expected) => {
  expect(plainHttpRefusal(new URL(url), { insecure: false }) === undefined).toBe(expected)
})
