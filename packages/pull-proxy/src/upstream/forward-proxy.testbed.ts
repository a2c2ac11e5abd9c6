import { once } from 'node:events'
import { createServer, request as send } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** What somebody wanted of a forward proxy. */
interface ForwardedRequest {
  readonly method: string
  /** `host:port` of a tunnel, else a whole URL. */
  readonly target: string
  readonly proxyAuthorization: string | undefined
}

/** An HTTP proxy as companies have one. */
export interface ForwardProxy extends AsyncDisposable {
  readonly host: string
  readonly requests: readonly ForwardedRequest[]
}

export interface ForwardProxyOptions {
  /** Where hosts (`host:port`) really are (`host:port`); others are not known. */
  readonly routes: Readonly<Record<string, string>>
  /** `refuse` answers 403 to a tunnel, `hang` nothing. Default: it is made. */
  readonly tunnels?: 'refuse' | 'hang' | undefined
}

export async function startForwardProxy({ routes, tunnels }: ForwardProxyOptions): Promise<ForwardProxy> {
  const requests: ForwardedRequest[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request
    requests.push({ method, target: url, proxyAuthorization: headers['proxy-authorization'] })
    const { host, pathname, search } = new URL(url)
    const route = routes[host]
    if (route === undefined) return void response.writeHead(502).end()
    const forwarded = send(`http://${route}${pathname}${search}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    request.pipe(forwarded)
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.on('connect', ({ url = '', headers }, socket: Socket) => {
    requests.push({ method: 'CONNECT', target: url, proxyAuthorization: headers['proxy-authorization'] })
    if (tunnels === 'hang') return
    const route = routes[url]
    if (tunnels === 'refuse' || route === undefined) return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    const [hostname, port] = route.split(':') as [string, string]
    const target = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      target.pipe(socket).pipe(target)
    })
    sockets.add(target)
    target.on('error', () => socket.destroy())
    socket.on('close', () => target.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}
