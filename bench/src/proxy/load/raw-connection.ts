import { connect, type Socket } from 'node:net'

/** A registry that keeps manifests of its own gives them only to who says that it knows their type. */
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

export interface RawConnectionOptions {
  readonly host: string
  readonly port: number
  /** What the bytes are read into; connections of one process share it, since each read is looked at before the next. */
  readonly buffer: Buffer
  /** Told of the bytes of bodies; they are gone when it returns. */
  readonly onBody?: (bytes: Buffer) => void
}

interface Pending {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * A keep-alive connection that asks for one thing after another and does as little as it can with the answers: it reads
 * heads for `Content-Length`, and counts bodies. So it is cheaper than any server that it measures.
 */
export class RawConnection implements Disposable {
  readonly #socket: Socket
  readonly #onBody: ((bytes: Buffer) => void) | undefined
  /** Bytes of the body that are still to come; undefined while the head is. */
  #left: number | undefined
  #head = ''
  #pending: Pending | undefined
  #error: Error | undefined

  constructor({ host, port, buffer, onBody }: RawConnectionOptions) {
    this.#onBody = onBody
    const callback = (count: number, bytes: Uint8Array) => {
      this.#take(bytes as Buffer, count)
      return true
    }
    this.#socket = connect({ host, port, noDelay: true, onread: { buffer, callback } })
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')))
  }

  /** Sends a request as it stands; resolves when all of its answer was read. @throws when that is not a whole 200 */
  ask(request: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) {
        reject(this.#error)
        return
      }
      this.#pending = { resolve, reject }
      this.#socket.write(request, 'latin1')
    })
  }

  #take(bytes: Buffer, count: number): void {
    let from = 0
    if (this.#left === undefined) {
      this.#head += bytes.toString('latin1', 0, count)
      const end = this.#head.indexOf('\r\n\r\n')
      if (end === -1) return
      // What an earlier read brought of the head is no part of this one.
      from = end + 4 - (this.#head.length - count)
      const head = this.#head.slice(0, end)
      this.#head = ''
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
      if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) {
        this.#fail(new Error(`an answer that is of no use: ${head.slice(0, 200)}`))
        return
      }
      this.#left = Number(length)
    }
    if (count > from) this.#onBody?.(bytes.subarray(from, count))
    this.#left -= count - from
    if (this.#left > 0) return
    this.#left = undefined
    const pending = this.#pending
    this.#pending = undefined
    pending?.resolve()
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#pending?.reject(this.#error)
    this.#pending = undefined
    this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

/** A GET as `ask` takes it. */
export function requestFor(url: string): { host: string; port: number; request: string } {
  const { hostname: host, port, pathname, search, host: authority } = new URL(url)
  const head = `GET ${pathname}${search} HTTP/1.1\r\nHost: ${authority}\r\nAccept: ${MANIFEST_TYPE}\r\n\r\n`
  return { host, port: Number(port), request: head }
}
