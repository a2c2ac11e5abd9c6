import type { LockClientOptions } from './client-options.ts'
import { LockClient } from './lock-client.ts'

interface Server extends AsyncDisposable {
  readonly url: string
}

type StartServer = (port: number) => Promise<Server>

/** A server and clients of it, for one test alone. */
export class ClientBed implements AsyncDisposable {
  readonly url: string
  readonly #start: StartServer
  readonly #clients: LockClient[] = []
  #server: Server | undefined

  private constructor(start: StartServer, server: Server) {
    this.url = server.url
    this.#start = start
    this.#server = server
  }

  static async start(start: StartServer): Promise<ClientBed> {
    return new ClientBed(start, await start(0))
  }

  newClient(node: string, options: LockClientOptions = {}): LockClient {
    const client = new LockClient({ url: this.url, node, ...options })
    this.#clients.push(client)
    return client
  }

  async stopServer(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]()
    this.#server = undefined
  }

  /** Starts another server, with nothing in its store, at the address of the one before. */
  async restartServer(): Promise<void> {
    this.#server = await this.#start(Number(new URL(this.url).port))
  }

  /** Ends a session as if it had expired, without the client's knowing. */
  async endSession(id: string | undefined): Promise<void> {
    await fetch(`${this.url}/v1/sessions`, { method: 'DELETE', headers: { 'layerlock-session': id ?? '' } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await this.stopServer()
  }
}
