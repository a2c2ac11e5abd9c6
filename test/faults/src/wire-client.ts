/** A refusal in the form in which it travels. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly retryAfter: string | null
}

/** Calls a lock server without a client's retries, to see each answer as it is. */
export class WireClient {
  readonly #url: string
  readonly #session: string

  private constructor(url: string, session: string) {
    this.#url = url
    this.#session = session
  }

  static async open(url: string): Promise<WireClient> {
    const { id } = await send(url, '/v1/sessions', '', { node: 'n', ttlMs: 600_000 })
    return new WireClient(url, String(id))
  }

  /** Takes a key; resolves with its fencing token. @throws the {@link Refusal} */
  async acquire(key: string): Promise<number> {
    const answer = await send(this.#url, `/v1/locks/${key}/acquire`, this.#session, { ticket: `t-${key}` })
    if (answer['status'] !== 'granted') throw new Error(`${key}: ${JSON.stringify(answer)}`)
    return Number(answer['fencingToken'])
  }

  /** Leaves an outcome that stays for a while. @throws the {@link Refusal} */
  async complete(key: string, fencingToken: number, value: string): Promise<void> {
    const body = { fencingToken, value, retainMs: 3_600_000 }
    await send(this.#url, `/v1/locks/${key}/complete`, this.#session, body)
  }
}

async function send(url: string, path: string, session: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(session === '' ? {} : { 'layerlock-session': session }) },
    body: JSON.stringify(body),
  })
  const answer = (await response.json()) as Record<string, unknown>
  if (response.ok) return answer
  const { code } = answer['error'] as { code: string }
  const refusal: Refusal = { status: response.status, code, retryAfter: response.headers.get('retry-after') }
  throw refusal
}
