import { basicAuthorization, httpGet, type HttpGetResult } from '@layerlock/test-support'
import type { PrivateRegistry } from './private-registry.ts'

/** One way of asking for what is not one's own, and what came of it. */
export interface Attempt {
  readonly what: string
  readonly result: HttpGetResult
}

/** What would tell whether, or as what, something is there. */
const TELLING_HEADERS = ['docker-content-digest', 'etag', 'content-range', 'accept-ranges', 'x-layerlock-source']

/** Lets bob, and somebody without a name, ask for all of `private/a` in every way that may look promising. */
export async function tryEverything(registry: PrivateRegistry, proxyUrl: string): Promise<Attempt[]> {
  const { a, b, secret } = registry
  const bobs = await registry.authorizationOf('bob', 'private/b')
  // So that the proxy already knows him as somebody who may read his own repository.
  const his = `${proxyUrl}/v2/private/b/blobs/${b.config.digest}`
  const { status } = await httpGet(his, { method: 'HEAD', headers: { authorization: bobs } })
  if (status !== 200) throw new Error(`bob got ${status} for what is his`)
  const paths = [
    // Through alice's repository: `ns`, prefix, and neither.
    `private/a/blobs/${secret.digest}?ns=docker.io`,
    `docker.io/private/a/blobs/${secret.digest}`,
    `private/a/blobs/${secret.digest}`,
    `private/a/manifests/${a.manifest.digest}`,
    'private/a/manifests/1',
    `private/a/blobs/${a.config.digest}`,
    'private/a/tags/list',
    // Through his own, where none of it is.
    `private/b/blobs/${secret.digest}`,
    `private/b/blobs/${a.config.digest}`,
    `private/b/manifests/${a.manifest.digest}`,
  ]
  const credentials: Record<string, string | undefined> = {
    'nobody’s': undefined,
    'bob’s for his own repository': bobs,
    'bob’s for alice’s repository': await registry.authorizationOf('bob', 'private/a'),
    'a wrong token': 'Bearer wrong',
    'a wrong password': basicAuthorization('alice', 'wrong'),
  }
  const ways: Record<string, { method?: 'HEAD'; range?: string; headers?: Record<string, string> }> = {
    GET: {},
    HEAD: { method: 'HEAD' },
    'first byte': { range: 'bytes=0-0' },
    'byte that is not there': { range: 'bytes=999999999999-' },
    'if it is another one': { headers: { 'if-none-match': `"${secret.digest}", "${a.manifest.digest}", *` } },
  }
  const attempts: Promise<Attempt>[] = []
  for (const path of paths) {
    const asked: Promise<Attempt>[] = []
    for (const [whose, authorization] of Object.entries(credentials)) {
      for (const [how, { headers, ...way }] of Object.entries(ways)) {
        const all = { ...headers, ...(authorization === undefined ? {} : { authorization }) }
        const what = `${how} of ${path} with ${whose} credentials`
        const answer = httpGet(`${proxyUrl}/v2/${path}`, { ...way, headers: { accept: '*/*', ...all }, keepBody: true })
        asked.push(answer.then((result) => ({ what, result })))
      }
    }
    // Many at a time, but not all: this is about what is answered, not about how much is borne.
    await Promise.all(asked)
    attempts.push(...asked)
  }
  return Promise.all(attempts)
}

/** What attempts gained: empty when all were refused and told nothing of what is there. */
export function gainsOf(attempts: readonly Attempt[], { a, secret }: PrivateRegistry): string[] {
  const sizes = new Set([a.manifest, a.config, secret].map(({ size }) => String(size)))
  return attempts.flatMap(({ what, result: { status, headers, body, error } }) => {
    const told = TELLING_HEADERS.filter((name) => headers[name] !== undefined)
    if (sizes.has(String(headers['content-length']))) told.push('its size')
    const isRefused = [401, 403, 404].includes(status) && (body?.length ?? 0) < 1024
    if (isRefused && told.length === 0 && error === undefined) return []
    return [`${what}: ${status} ${told.join(', ')} ${error?.message ?? ''}`]
  })
}
