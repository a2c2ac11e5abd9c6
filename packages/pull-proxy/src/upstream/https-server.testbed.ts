import { once } from 'node:events'
import type { IncomingMessage, RequestListener } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

export interface TestHttpsServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly requests: readonly IncomingMessage[]
  /** Common names of the clients' certificates, one a request. */
  readonly clients: readonly (string | undefined)[]
}

export async function startHttpsServer(
  options: ServerOptions,
  listener: RequestListener,
  host = '127.0.0.1',
): Promise<TestHttpsServer> {
  const requests: IncomingMessage[] = []
  const clients: (string | undefined)[] = []
  const server = createServer(options, (request, response) => {
    requests.push(request)
    clients.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN as string | undefined)
    listener(request, response)
  })
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `https://${host}:${port}`,
    port,
    requests,
    clients,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A server to which nobody should connect, and if somebody does, that says nothing. */
export interface TrapServer extends AsyncDisposable {
  readonly port: number
  /** How many have connected. */
  readonly caught: number
  /** How many still are. */
  readonly connected: number
}

export async function startTrapServer(port = 0): Promise<TrapServer> {
  const sockets = new Set<Socket>()
  let caught = 0
  const server = createTcpServer((socket) => {
    caught++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    socket.resume()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get caught() {
      return caught
    },
    get connected() {
      return sockets.size
    },
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}
