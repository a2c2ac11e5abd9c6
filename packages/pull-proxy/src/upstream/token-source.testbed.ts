import { type Repository, parseRepository } from '../oci/repository.ts'
import type { Credentials, CredentialSource } from './credentials/credential-source.ts'
import { discard, HttpExchange } from './http-exchange.ts'
import { TokenSource, type TokenSourceOptions } from './token-source.ts'

export const repository = parseRepository('library/app')
export const password = { kind: 'basic', username: 'ann', password: 's3cret:word' } as const
export const identityToken = { kind: 'identityToken', token: 'id3ntity' } as const

/** Always the same credentials. */
export function fixed(credentials: Credentials): CredentialSource {
  return { get: () => Promise.resolve(credentials) }
}

/** A client that knows nothing of registries but how they ask for credentials. */
export class TokenUser implements AsyncDisposable {
  readonly tokens: TokenSource
  readonly #base: URL
  readonly #exchange = new HttpExchange({ timeouts: { connectMs: 2_000, headersMs: 5_000, idleMs: 5_000 } })

  constructor(base: string, options: Partial<TokenSourceOptions> = {}) {
    this.#base = new URL(base)
    const onRequest = () => undefined
    this.tokens = new TokenSource({ exchange: this.#exchange, base: this.#base, onRequest, ...options })
  }

  /** Asks for a tag, as a registry client does: with what is known, and once more as the challenge wants it. */
  async status(name: Repository = repository): Promise<number> {
    const known = await this.tokens.known(name)
    const first = await this.#send(name, known)
    if (first.status !== 401) return first.status
    const again = await this.#send(name, await this.tokens.answer(first.headers['www-authenticate'], name, known))
    return again.status
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exchange[Symbol.asyncDispose]()
  }

  async #send(name: Repository, authorization: string | undefined) {
    const response = await this.#exchange.send({
      method: 'HEAD',
      url: new URL(`/v2/${name}/manifests/latest`, this.#base),
      headers: authorization === undefined ? {} : { authorization },
      signal: AbortSignal.timeout(10_000),
    })
    discard(response)
    return response
  }
}
