import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

import { type Answer, errorAnswer, textAnswer } from './answer.ts'

/** Whom a registry lets in. */
export interface BearerAuthOptions {
  /** Who must ask for a token. Default: anyone may. */
  readonly credentials?: { readonly user: string; readonly password: string } | undefined
  /** Seconds for which a token is good. Default 300. */
  readonly expiresInSeconds?: number | undefined
  /** What the challenge says. Default `registry.test`. */
  readonly service?: string | undefined
}

interface Token {
  readonly scopes: readonly string[]
  readonly expiresMs: number
}

/** Tokens as the distribution's token specification has them: challenge, token end point, check. */
export class BearerAuth {
  readonly #options: BearerAuthOptions
  readonly #tokens = new Map<string, Token>()

  constructor(options: BearerAuthOptions) {
    this.#options = options
  }

  /** From now on no token is good that was given out before. */
  revokeAll(): void {
    this.#tokens.clear()
  }

  /** The answer to a request without a good token. */
  challenge(registryUrl: string, repository: string | undefined): Answer {
    const parts = [`realm="${registryUrl}/token"`, `service="${this.#service}"`]
    if (repository !== undefined) parts.push(`scope="${pullScope(repository)}"`)
    return errorAnswer(401, 'UNAUTHORIZED', { 'WWW-Authenticate': `Bearer ${parts.join(',')}` })
  }

  /** Whether a request may pull from a repository; without one, whether its token is good at all. */
  allows(request: IncomingMessage, repository: string | undefined): boolean {
    const token = this.#tokens.get(/^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '')
    if (token === undefined || token.expiresMs <= Date.now()) return false
    return repository === undefined || token.scopes.includes(pullScope(repository))
  }

  /** Answers the token end point: GET with Basic credentials, or POST of a form with `grant_type=password`. */
  async issue(request: IncomingMessage): Promise<Answer> {
    const asked =
      request.method === 'POST'
        ? new URLSearchParams(await text(request))
        : new URL(request.url ?? '/', 'http://localhost').searchParams
    const { credentials, expiresInSeconds = 300 } = this.#options
    const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1]
    const given =
      basic === undefined
        ? `${asked.get('username')}:${asked.get('password')}`
        : Buffer.from(basic, 'base64').toString()
    if (credentials !== undefined && given !== `${credentials.user}:${credentials.password}`) {
      return errorAnswer(401, 'UNAUTHORIZED')
    }
    if (asked.get('service') !== this.#service) return errorAnswer(400, 'UNSUPPORTED')
    const token = randomUUID()
    const scopes = asked.getAll('scope').flatMap((scope) => scope.split(' '))
    this.#tokens.set(token, { scopes, expiresMs: Date.now() + expiresInSeconds * 1000 })
    const body = { token, access_token: token, expires_in: expiresInSeconds, issued_at: new Date().toISOString() }
    return textAnswer(200, JSON.stringify(body))
  }

  get #service(): string {
    return this.#options.service ?? 'registry.test'
  }
}

function pullScope(repository: string): string {
  return `repository:${repository}:pull`
}
