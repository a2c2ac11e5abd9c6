import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { discard } from '../upstream/http-exchange.ts'
import type { Target } from '../upstream/upstreams.ts'

/** Headers of a list that clients need. */
const PASSED_ON = ['content-type', 'content-length', 'oci-filters-applied', 'warning'] as const

/** Passes lists through from upstream: tags and referrers change at any time, so they are not kept. */
export class ListHandler {
  async handle(target: Target, path: string, url: URL, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { upstream } = target
    const query = new URLSearchParams(url.searchParams)
    query.delete('ns')
    const search = query.size === 0 ? '' : `?${query.toString()}`
    const list = await upstream.list(target, path, search, signal)
    const headers: Record<string, string> = { 'x-layerlock-source': 'upstream' }
    for (const name of PASSED_ON) if (list.headers[name] !== undefined) headers[name] = list.headers[name]
    const link = ownLink(list.headers['link'], url)
    if (link !== undefined) headers['link'] = link
    response.writeHead(list.status, headers)
    if (response.req.method === 'HEAD') {
      discard(list)
      response.end()
      return
    }
    await pipeline(list.body, response, { signal }).catch(() => response.destroy())
  }
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
