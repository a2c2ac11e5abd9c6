import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server for answers that a registry or a proxy would not give. */
export interface TestHttpServer extends AsyncDisposable {
  readonly url: string
  /** All requests so far. */
  readonly requests: readonly IncomingMessage[]
}

export async function startHttpServer(listener: RequestListener, host = '127.0.0.1'): Promise<TestHttpServer> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    listener(request, response)
  })
  server.listen(0, host)
  await once(server, 'listening')
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
