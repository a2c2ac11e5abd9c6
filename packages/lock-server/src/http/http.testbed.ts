import { request } from 'node:http'
import { connect } from 'node:net'
import type { LockService } from '../service/lock-service.ts'
import { MemoryLockStore } from '../store/memory-lock-store.ts'
import { LockServer, type LockServerOptions } from '../lock-server.ts'
import { createApiApp } from './api-app.ts'
import { Drain } from './drain.ts'
import { registerRoutes } from './register-routes.ts'

export interface Call {
  readonly session?: string | undefined
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // Whatever came, for tests to compare with what should have.
  readonly body: Readonly<Record<string, unknown>>
}

/** A lock server on a free port of the loopback, and calls to it. */
export class HttpBed implements AsyncDisposable {
  readonly url: string
  readonly #server: AsyncDisposable

  private constructor(url: string, server: AsyncDisposable) {
    this.url = url
    this.#server = server
  }

  static async start(options: Partial<LockServerOptions> = {}): Promise<HttpBed> {
    const server = await LockServer.start({ host: '127.0.0.1', port: 0, store: new MemoryLockStore(), ...options })
    return new HttpBed(server.url, server)
  }

  /** Puts the HTTP face before a service that the test can look into. */
  static async over(service: LockService): Promise<HttpBed> {
    const app = createApiApp({})
    const drain = new Drain()
    registerRoutes(app, { service, drain })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    return new HttpBed(url, {
      [Symbol.asyncDispose]: () => {
        drain.begin()
        return app.close()
      },
    })
  }

  async call(method: string, path: string, { session, body, headers = {} }: Call = {}): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(session === undefined ? {} : { 'layerlock-session': session }),
        ...headers,
      },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
  }

  /** Opens a session and gives back its id. */
  async session(node: string, options: object = {}): Promise<string> {
    const { body } = await this.call('POST', '/v1/sessions', { body: { node, ...options } })
    return String(body['id'])
  }

  acquire(session: string, ticket: string, wish: object = {}, key = 'k'): Promise<Answer> {
    return this.call('POST', `/v1/locks/${key}/acquire`, { session, body: { ticket, ...wish } })
  }

  /** Sends a call as text, and gives back all that comes until the server closes the connection. */
  async send(line: string, headers: readonly string[], body = ''): Promise<string> {
    const { hostname, port } = new URL(this.url)
    const socket = connect(Number(port), hostname).setEncoding('utf8')
    const fields = ['Host: x', 'Connection: close', `Content-Length: ${Buffer.byteLength(body)}`, ...headers]
    socket.write(`${line} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`)
    let text = ''
    for await (const chunk of socket) text += chunk as string
    return text
  }

  /** Sends a call on a connection of its own, which is closed by the function that it gives back. */
  sendAndHangUp(path: string, session: string, body: object): () => void {
    const headers = { 'content-type': 'application/json', 'layerlock-session': session }
    const sent = request(this.url + path, { method: 'POST', headers, agent: false })
    sent.on('error', () => undefined)
    sent.end(JSON.stringify(body))
    return () => sent.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}
