import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { discard, type ExchangeResponse, readAll } from '../upstream/http-exchange.ts'
import type { Target } from '../upstream/upstreams.ts'
import { type List, ListCache, MAX_LIST_BYTES } from './list-cache.ts'

/** Headers of a list that clients need. */
const PASSED_ON = ['content-type', 'content-length', 'oci-filters-applied', 'warning'] as const

/** Passes lists of tags and referrers through from upstream, page by page. */
export class ListHandler {
  readonly #cache = new ListCache()
  readonly #signal: AbortSignal

  /** @param signal ends the requests that clients share when the proxy stops */
  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  async handle(target: Target, path: string, url: URL, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { upstream } = target
    const query = new URLSearchParams(url.searchParams)
    query.delete('ns')
    const search = query.size === 0 ? '' : `?${query.toString()}`
    let large: ExchangeResponse | undefined
    if (ListCache.isAllowed(upstream)) {
      const known = await this.#cache.get(target, path + search, async () => {
        const answer = await upstream.list(target, path, search, this.#signal)
        if (Number(answer.headers['content-length'] ?? Infinity) <= MAX_LIST_BYTES) return readList(answer)
        large = answer
        return undefined
      })
      if (known !== undefined) {
        writeHead(response, known, url)
        response.end(response.req.method === 'HEAD' ? undefined : known.body)
        return
      }
    }
    const answer = large ?? (await upstream.list(target, path, search, signal))
    writeHead(response, answer, url)
    if (response.req.method === 'HEAD') {
      discard(answer)
      response.end()
      return
    }
    await pipeline(answer.body, response, { signal }).catch(() => response.destroy())
  }
}

async function readList(answer: ExchangeResponse): Promise<List> {
  return { status: answer.status, headers: answer.headers, body: await readAll(answer, MAX_LIST_BYTES) }
}

function writeHead(response: ServerResponse, list: Pick<List, 'status' | 'headers'>, url: URL): void {
  const headers: Record<string, string> = { 'x-layerlock-source': 'upstream' }
  for (const name of PASSED_ON) if (list.headers[name] !== undefined) headers[name] = list.headers[name]
  const link = ownLink(list.headers['link'], url)
  if (link !== undefined) headers['link'] = link
  response.writeHead(list.status, headers)
}

/** A `Link` to the next page (RFC 8288) names upstream's path; the client must come back to ours. */
function ownLink(link: string | undefined, { pathname, searchParams }: URL): string | undefined {
  const match = /<([^>]*)>(.*)/.exec(link ?? '')
  const next = match === null ? null : URL.parse(match[1]!, 'http://upstream')
  if (match === null || next === null) return undefined
  const ns = searchParams.get('ns')
  if (ns !== null) next.searchParams.set('ns', ns)
  return `<${pathname}${next.search}>${match[2]}`
}
