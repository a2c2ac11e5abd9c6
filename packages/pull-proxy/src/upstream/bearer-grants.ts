import { LRUCache } from 'lru-cache'
import type { Repository } from '../oci/repository.ts'
import type { IssuedToken, WantedToken } from './token-request.ts'

/** A token is replaced when less than this part of its life is left. */
const REFRESH_AT = 0.2
/** For how many repositories tokens are kept. */
const MAX_REPOSITORIES = 1_000

interface Token {
  readonly authorization: string
  readonly refreshAtMs: number
  readonly expiresAtMs: number
}

/** What a repository's challenge asked for, and what came of it. */
interface Grant {
  readonly wanted: WantedToken
  token: Token | undefined
  /** The request for the next token, while there is one. */
  pending: Promise<Token> | undefined
}

export type RequestToken = (wanted: WantedToken, repository: Repository) => Promise<IssuedToken>

/** The bearer tokens of one upstream: one for each repository, kept while it lasts, and replaced before it ends. */
export class BearerGrants {
  readonly #request: RequestToken
  readonly #grants = new LRUCache<Repository, Grant>({ max: MAX_REPOSITORIES })

  constructor(request: RequestToken) {
    this.#request = request
  }

  /** The `Authorization` that is there for a repository already, or that somebody has asked for. Does not reject. */
  async known(repository: Repository): Promise<string | undefined> {
    const grant = this.#grants.get(repository)
    if (grant === undefined) return undefined
    const { token, pending } = grant
    if (token === undefined || performance.now() >= token.expiresAtMs) {
      return (await pending?.catch(() => undefined))?.authorization
    }
    // The old one is still good: nobody waits for the new one, and if none comes, another call tries again.
    if (performance.now() >= token.refreshAtMs) this.#renew(grant, repository).catch(() => undefined)
    return token.authorization
  }

  /** An `Authorization` other than the refused one. Callers that come at the same time share one request. */
  async answer(wanted: WantedToken, repository: Repository, refused: string | undefined): Promise<string> {
    let grant = this.#grants.get(repository)
    if (grant === undefined || !isSame(grant.wanted, wanted)) {
      grant = { wanted, token: undefined, pending: undefined }
      this.#grants.set(repository, grant)
    }
    const { token } = grant
    // Another call may have got a new one since the refused one was sent.
    const isNewer = token !== undefined && token.authorization !== refused && performance.now() < token.expiresAtMs
    return (isNewer ? token : await this.#renew(grant, repository)).authorization
  }

  /** Requests a grant's next token, or joins the request that is under way. */
  #renew(grant: Grant, repository: Repository): Promise<Token> {
    grant.pending ??= this.#next(grant, repository).finally(() => (grant.pending = undefined))
    return grant.pending
  }

  async #next(grant: Grant, repository: Repository): Promise<Token> {
    // By this process's clock, from before the request: what the answer says of its own time is another clock's.
    const startMs = performance.now()
    const { value, expiresInS } = await this.#request(grant.wanted, repository)
    const lifeMs = expiresInS * 1_000
    grant.token = {
      authorization: `Bearer ${value}`,
      refreshAtMs: startMs + lifeMs * (1 - REFRESH_AT),
      expiresAtMs: startMs + lifeMs,
    }
    return grant.token
  }
}

function isSame(one: WantedToken, other: WantedToken): boolean {
  return (
    one.realm.href === other.realm.href &&
    one.service === other.service &&
    one.scopes.join(' ') === other.scopes.join(' ')
  )
}
