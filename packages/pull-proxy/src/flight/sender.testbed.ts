import { startHttpServer, type TestHttpServer } from '../http-server.testbed.ts'
import type { Peer } from '../relay/peer.ts'

export interface SenderOptions {
  /** How many bytes were received from peers so far. */
  readonly received: () => number
  /** Where it stops sending. Default: at the end. */
  readonly cutAt?: number | undefined
  /** Whether it then falls silent instead of hanging up. */
  readonly hang?: boolean | undefined
}

/** What calls itself a peer and sends these bytes, the right ones or not. */
export async function startSender(sent: Buffer, options: SenderOptions): Promise<Peer & TestHttpServer> {
  const { received, cutAt = Infinity, hang = false } = options
  const server = await startHttpServer((request, response) => {
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const range = start === 0 ? {} : { 'content-range': `bytes ${start}-${sent.length - 1}/${sent.length}` }
    response.writeHead(start === 0 ? 200 : 206, { ...range, 'content-length': sent.length - start })
    if (sent.length <= cutAt) {
      response.end(sent.subarray(start))
      return
    }
    response.write(sent.subarray(start, cutAt))
    if (hang) return
    // What the other side has not read when the connection ends may be lost to it.
    const taken = received() + cutAt - start
    const timer = setInterval(() => received() >= taken && response.destroy(), 5)
    response.once('close', () => clearInterval(timer))
  })
  return { ...server, node: `sender-${server.url}`, endpoint: server.url }
}
