import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What an answer may be made of. */
interface Leak {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The `Authorization` that came. */
  readonly authorization: string
  /** This server's own URL. */
  readonly url: string
  /** The same server, at another address. */
  readonly otherUrl: string
}

/** What secrets this server itself makes, as a registry and its storage do. */
export const UPSTREAM_SECRETS = {
  signature: 'sig-7f3a9c21e8',
  'user info of a location': 'location-password-55',
  'user info of a realm': 'realm-password-66',
  'query of a realm': 'realm-key-77',
} as const

const SIGNED = `X-Amz-Signature=${UPSTREAM_SECRETS.signature}`

/** Ways to fail with a secret in hand, once the proxy has sent its credentials. */
const LEAKS = {
  'echo-400': (leak: Leak) => echo(leak, 400),
  'echo-401': (leak: Leak) => echo(leak, 401),
  'echo-403': (leak: Leak) => echo(leak, 403),
  'echo-404': (leak: Leak) => echo(leak, 404),
  'echo-429': (leak: Leak) => echo(leak, 429),
  'echo-500': (leak: Leak) => echo(leak, 500),
  'redirect-loop': ({ request, response }: Leak) => redirect(response, `${request.url}?${SIGNED}`),
  'redirect-to-echo': ({ response, otherUrl }: Leak) => redirect(response, `${otherUrl}/storage?${SIGNED}`),
  'redirect-with-user': ({ response, otherUrl }: Leak) => {
    const user = `user:${UPSTREAM_SECRETS['user info of a location']}@`
    redirect(response, `${otherUrl.replace('//', `//${user}`)}/storage?${SIGNED}`)
  },
  'redirect-to-ftp': ({ response }: Leak) => redirect(response, `ftp://127.0.0.1/x?${SIGNED}`),
  'redirect-to-nothing': ({ response }: Leak) => redirect(response, `http://127.0.0.1:1/x?${SIGNED}`),
  'redirect-to-no-url': ({ response }: Leak) => redirect(response, `http://[x?${SIGNED}`),
  hang: () => undefined,
  reset: ({ request }: Leak) => void request.socket.resetAndDestroy(),
  cut: ({ response, authorization }: Leak) => {
    response.writeHead(200, { 'Content-Length': 1_000, 'Content-Type': 'application/json' })
    response.write(authorization)
    response.destroy()
  },
  'wrong-bytes': ({ response, authorization }: Leak) => {
    const body = JSON.stringify({ mediaType: 'application/vnd.oci.image.manifest.v1+json', echo: authorization })
    response.writeHead(200, { 'Content-Length': body.length, 'Content-Type': 'application/json' }).end(body)
  },
  'no-http': ({ request, authorization }: Leak) => void request.socket.end(`Hello ${authorization}\r\n\r\n`),
  'bad-header': ({ request, authorization }: Leak) =>
    void request.socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\nX-\0Echo: ${authorization}\r\n\r\n`),
  'huge-header': ({ request, authorization }: Leak) =>
    void request.socket.end(`HTTP/1.1 200 OK\r\nX: ${`${authorization} `.repeat(2_000)}\r\n\r\n`),
} as const

/** Ways to ask for a token, or to refuse one, that show a secret. */
const CHALLENGES = {
  basic: () => 'Basic realm="leaky"',
  'realm-with-user': (url: string) => {
    const user = `user:${UPSTREAM_SECRETS['user info of a realm']}@`
    return bearer(`${url.replace('//', `//${user}`)}/token?key=${UPSTREAM_SECRETS['query of a realm']}`)
  },
  'realm-of-another-host': (_: string, otherUrl: string) =>
    bearer(`${otherUrl}/token?key=${UPSTREAM_SECRETS['query of a realm']}`),
  'realm-that-is-no-url': () => bearer(`http://[${UPSTREAM_SECRETS['query of a realm']}`),
  'token-echo-401': (url: string) => bearer(`${url}/token/401`),
  'token-echo-500': (url: string) => bearer(`${url}/token/500`),
  'token-echo-200': (url: string) => bearer(`${url}/token/200`),
  'token-redirect': (url: string) => bearer(`${url}/token/302`),
  'token-hang': (url: string) => bearer(`${url}/token/hang`),
  'token-no-http': (url: string) => bearer(`${url}/token/no-http`),
} as const

/** The names of all ways to fail: the base of an upstream is the server's URL and one of them. */
export const FAILURES = [...Object.keys(LEAKS), ...Object.keys(CHALLENGES)]
/** Those that can be seen by a client that authenticates by itself. */
export const FAILURES_OF_REQUESTS = Object.keys(LEAKS).filter((name) => name !== 'echo-401')

/** An upstream that fails in the way that its path names, and shows the credentials that it was given. */
export interface LeakyUpstream extends AsyncDisposable {
  readonly url: string
  /** Every `Authorization` header that came, and every password in a form. */
  readonly seen: ReadonlySet<string>
}

export async function startLeakyUpstream(): Promise<LeakyUpstream> {
  const seen = new Set<string>()
  const urls: string[] = []
  const servers: Server[] = []
  for (const host of ['127.0.0.1', '127.0.0.2']) {
    const server = createServer((request, response) => {
      // Whoever answers has gone, when the proxy stops.
      response.on('error', () => undefined)
      void answer(request, response, urls, seen).catch(() => response.destroy())
    })
    server.listen(0, host)
    await once(server, 'listening')
    servers.push(server)
    urls.push(`http://${host}:${(server.address() as AddressInfo).port}`)
  }
  return {
    url: urls[0]!,
    seen,
    async [Symbol.asyncDispose]() {
      for (const server of servers) {
        const closed = once(server, 'close')
        server.close()
        server.closeAllConnections()
        await closed
      }
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  [url = '', otherUrl = '']: readonly string[],
  seen: Set<string>,
): Promise<void> {
  const { authorization = '' } = request.headers
  if (authorization !== '') seen.add(authorization)
  const [, way = '', tokenWay = ''] = new URL(request.url ?? '/', url).pathname.split('/')
  const leak: Leak = { request, response, authorization, url, otherUrl }
  if (way === 'token') return issue(leak, tokenWay, seen)
  if (way === 'storage') return echo({ ...leak, authorization: request.url ?? '' }, 403)
  if (Object.hasOwn(CHALLENGES, way)) {
    const challenge = CHALLENGES[way as keyof typeof CHALLENGES](url, otherUrl)
    if (authorization === '') return challengeWith(response, challenge)
    return echo(leak, 500)
  }
  if (authorization === '') return challengeWith(response, bearer(`${url}/token`))
  LEAKS[way as keyof typeof LEAKS](leak)
}

async function issue(leak: Leak, way: string, seen: Set<string>): Promise<void> {
  const { request, response, authorization } = leak
  const form = new URLSearchParams(await text(request))
  for (const name of ['password', 'refresh_token']) if (form.has(name)) seen.add(form.get(name)!)
  const token = `token-${Math.random().toString(36).slice(2)}-given`
  if (way === '') response.end(JSON.stringify({ token, expires_in: 300 }))
  else if (way === '302') redirect(response, `/token/401?code=${UPSTREAM_SECRETS['query of a realm']}`)
  else if (way === '200') response.end(`{"token": "no token \\n ${authorization}"}`)
  else if (way === 'no-http') request.socket.end(`Hello ${authorization}\r\n\r\n`)
  else if (way !== 'hang') echo(leak, Number(way))
}

/** An error in the registry's envelope that repeats the credentials, whole and taken apart, as debug pages do. */
function echo({ response, authorization }: Leak, status: number): void {
  const credentials = authorization.replace(/^\w+ /, '')
  const decoded = Buffer.from(credentials, 'base64').toString()
  const message = `refused ${authorization}; ${credentials}; ${decoded}`
  const body = JSON.stringify({ errors: [{ code: credentials, message, detail: { authorization } }] })
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'WWW-Authenticate': `Bearer realm="/x",error="${credentials}"`,
    'X-Echo': authorization,
    Warning: `299 - "${credentials}"`,
    'Retry-After': credentials.replaceAll(/[^!-~]/g, ''),
  })
  response.end(body)
}

function challengeWith(response: ServerResponse, challenge: string): void {
  response.writeHead(401, { 'WWW-Authenticate': challenge }).end()
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(307, { Location: location }).end()
}

function bearer(realm: string): string {
  return `Bearer realm="${realm}",service="leaky"`
}
