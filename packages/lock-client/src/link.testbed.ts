import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A network between a client and a server that tests can cut. */
export class Link implements AsyncDisposable {
  /** Closes each connection after this time, as some load balancers do. */
  cutAfterMs: number | undefined
  /** Swallows everything that is sent, either way, without closing anything. */
  blocked = false
  /** How many connections were cut. */
  cuts = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: URL) {
    this.#server = createServer((near) => this.#join(near, target))
  }

  static async to(target: string): Promise<Link> {
    const link = new Link(new URL(target))
    link.#server.listen(0, '127.0.0.1')
    await once(link.#server, 'listening')
    return link
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  #join(near: Socket, { hostname, port }: URL): void {
    const far = connect(Number(port), hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('data', (chunk) => {
        if (!this.blocked) to.write(chunk)
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
    if (this.cutAfterMs === undefined) return
    const cut = () => {
      this.cuts++
      near.destroy()
    }
    setTimeout(cut, this.cutAfterMs).unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }
}
