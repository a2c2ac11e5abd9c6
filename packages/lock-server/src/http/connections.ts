import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How often connections are looked at, at the most. */
const CHECKING_INTERVAL_MS = 5_000

interface Connection {
  request: IncomingMessage
  response: ServerResponse
  /** How many bytes the client had taken when it was last seen to take some, and when that was. */
  taken: number
  takenMs: number
}

/**
 * The connections on which requests have come. Cuts those whose clients leave their answers unread, so that nobody fills
 * the server's memory with answers. Calls that are held back, and streams that are merely quiet, have nothing to be taken.
 */
export class Connections implements Disposable {
  readonly #unreadMs: number
  readonly #connections = new Map<Socket, Connection>()
  #timer: NodeJS.Timeout | undefined

  /** @param unreadMs how long answers may lie there without a byte of them being taken, in milliseconds */
  constructor(unreadMs: number) {
    this.#unreadMs = unreadMs
  }

  /** Looks after a server's connections from here on. */
  watch(server: Server): void {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request
      const known = this.#connections.get(socket)
      if (known === undefined) {
        this.#connections.set(socket, { request, response, taken: 0, takenMs: performance.now() })
        socket.once('close', () => this.#connections.delete(socket))
      } else {
        known.request = request
        known.response = response
      }
    })
    this.#timer = setInterval(() => this.#cutUnread(), Math.min(CHECKING_INTERVAL_MS, this.#unreadMs / 3))
    this.#timer.unref()
  }

  /** Whether the answer to the request that is under way on this connection has begun: there can be no other one. */
  isAnswered(socket: Socket): boolean {
    const last = this.#connections.get(socket)
    if (last === undefined || !last.response.headersSent) return false
    return !last.request.complete || !last.response.writableFinished
  }

  #cutUnread(): void {
    const nowMs = performance.now()
    for (const [socket, connection] of this.#connections) {
      const taken = socket.bytesWritten - socket.writableLength
      if (socket.writableLength === 0 || taken !== connection.taken) {
        connection.taken = taken
        connection.takenMs = nowMs
      } else if (nowMs - connection.takenMs >= this.#unreadMs) {
        socket.destroy()
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
