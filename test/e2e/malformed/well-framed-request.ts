import type { Random } from '@layerlock/test-support'
import { draw, drawDigest, drawName, drawNs, drawRange, drawTag, type Known, text } from './request-parts.ts'

/** A request as bytes. */
export interface WellFramedRequest {
  readonly bytes: Buffer
  /** Whether the answer has no body, whatever its headers say. */
  readonly isHead: boolean
}

/** The paths of one face of the proxy, besides those of the distribution-spec. */
export type DrawPath = (random: Random, known: Known) => string

/** Node answers a head of more than 16 KiB with 431 and a close. */
const MAX_HEAD_BYTES = 15_000
const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
/** Node's parser knows these too; what it does not know ends the connection. */
const RARE_METHODS = ['PROPFIND', 'TRACE', 'SEARCH', 'PURGE', 'M-SEARCH', 'QUERY', 'LOCK', 'REPORT'] as const

/**
 * Draws a request that is HTTP/1.1 without a doubt where it begins and ends, and may be nonsense in every other way.
 * Each has to be answered, however many are on one connection.
 */
export function drawWellFramed(
  random: Random,
  known: Known,
  drawPath: DrawPath = drawDistributionPath,
): WellFramedRequest {
  for (;;) {
    const { head, body, isHead } = drawParts(random, known, drawPath)
    if (head.length <= MAX_HEAD_BYTES) return { bytes: Buffer.concat([head, body]), isHead }
  }
}

function drawParts(random: Random, known: Known, drawPath: DrawPath) {
  const method = drawMethod(random)
  const body = drawBody(random, method)
  const lines = [
    `${method} ${drawTarget(random, known, drawPath)} HTTP/1.1`,
    `Host: ${random.pick(['x', known.trap, 'docker.io', '127.0.0.1', '[::1]:80', 'a'.repeat(300), '', 'x y', '%00'])}`,
    ...drawHeaders(random, known),
    ...body.headers,
  ]
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return { head, body: body.bytes, isHead: method === 'HEAD' }
}

function drawMethod(random: Random): string {
  if (random.chance(0.7)) return 'GET'
  if (random.chance(0.5)) return 'HEAD'
  return random.pick(random.chance(0.8) ? WRITES : RARE_METHODS)
}

/** A path and perhaps a query, of visible ASCII characters only. */
function drawTarget(random: Random, known: Known, drawPath: DrawPath): string {
  const path = drawPath(random, known)
  const query = drawQuery(random, known)
  const target = query === '' ? path : `${path}?${query}`
  if (random.chance(0.03)) return random.pick(['http', 'https', 'ftp', 'file', 'x']) + `://${known.trap}${target}`
  if (random.chance(0.02)) return `http://user:pass@${known.trap}${target}`
  return target
}

/** A path that a client of a registry might send, and many that none would. */
export function drawDistributionPath(random: Random, known: Known): string {
  const name = () => drawName(random, known)
  const digest = () => drawDigest(random, known)
  // Often all is right but what the headers or the query say, so that those are looked at too.
  if (random.chance(0.3)) return `/v2/${known.repository}/blobs/${known.digest}`
  return draw(random, [
    () => `/v2/${name()}/blobs/${digest()}`,
    () => `/v2/${name()}/blobs/${digest()}`,
    () => `/v2/${known.repository}/blobs/${digest()}`,
    () => `/v2/${name()}/manifests/${digest()}`,
    () => `/v2/${name()}/manifests/${drawTag(random)}`,
    () => `/v2/${known.repository}/manifests/${drawTag(random)}`,
    () => `/v2/${name()}/tags/list`,
    () => `/v2/${name()}/referrers/${digest()}`,
    () => '/v2/',
    () => `/v2/${random.pick(['', '/', '../', '%2e%2e/', './', '\\'])}${name()}`,
    () => `${random.pick(['', '/', '//', '/v1', '/v2', '/V2', '/v2/..', '/%76%32'])}/${name()}/blobs/${digest()}`,
    () => `//${known.trap}/v2/${name()}/blobs/${digest()}`,
    () => `/\\${known.trap}/v2/`,
    () => `/v2/${name()}/blobs/uploads/`,
    () => `/${text(random, '/.%2fe0\\;:@&=+$,~*()!\'"<>[]{}|^`#?', random.between(0, 60))}`,
    () => `/${'../'.repeat(random.between(1, 60))}etc/passwd`,
    () => `/v2/${'x'.repeat(random.between(5_000, 12_000))}`,
    () => `/v2/_catalog`,
    () => '/',
    () => '*',
  ])
}

function drawQuery(random: Random, known: Known): string {
  const parts = []
  while (random.chance(0.4)) {
    parts.push(
      draw(random, [
        () => 'ns=docker.io',
        () => `ns=${drawNs(random, known)}`,
        () => `ns=${drawNs(random, known)}`,
        () => `ns=docker.io&ns=${drawNs(random, known)}`,
        () => `ns[]=${known.trap}`,
        () => `%6es=${known.trap}`,
        () => 'ns',
        () => `n=${random.pick(['-1', '0', '1e9', '99999999999999999999', 'x', ''])}`,
        () => `last=${text(random, '%2f0a&=#', 12)}`,
        () => 'artifactType=%0d%0aX-Injected:%20yes',
        () => 'a=b&'.repeat(random.between(1, 300)),
        () => '&&&===???',
      ]),
    )
  }
  return parts.join('&')
}

function drawHeaders(random: Random, { digest, trap }: Known): string[] {
  const lines: string[] = []
  const range = () => `Range: ${drawRange(random)}`
  while (random.chance(0.5)) {
    lines.push(
      ...draw(random, [
        () => [range()],
        () => [range()],
        () => [range()],
        () => [range(), range()],
        () => [
          `If-None-Match: ${random.pick([`"${digest}"`, '*', '"', ',,,', `W/${'"x",'.repeat(200)}`, '"\u00ff"'])}`,
        ],
        () => [range(), `If-Range: ${random.pick([`"${digest}"`, '"x"', 'yesterday', ''])}`],
        () => [`Accept: ${random.pick(['*/*', 'application/vnd.oci.image.index.v1+json', ';;;', 'x'.repeat(2_000)])}`],
        () => [`Accept-Encoding: ${random.pick(['gzip, zstd', 'identity;q=0', '\u00e9'])}`],
        () => [
          `Authorization: ${random.pick(['Bearer x', 'Basic !!!', 'Basic', 'Basic Og==', 'Digest', '\u00ff\u00fe'])}`,
        ],
        () => [`X-Forwarded-Host: ${trap}`, `X-Forwarded-For: ${trap}`, `X-Original-URL: http://${trap}/`],
        () => [`Forwarded: host=${trap}`],
        () => [`Cookie: ${'a=b; '.repeat(random.between(1, 300))}`],
        () => [`X-${'h'.repeat(random.between(1, 500))}: ${'v'.repeat(random.between(0, 3_000))}`],
        () => ['__proto__: x', 'constructor: y'],
        () => ['Content-Type: not a media type'],
        () => ['If-Modified-Since: not a date', 'Via: 1.1 a, 1.1 b'],
        () => (random.chance(0.3) ? ['Expect: nonsense'] : []),
      ]),
    )
  }
  return lines
}

function drawBody(random: Random, method: string): { readonly headers: string[]; readonly bytes: Buffer } {
  const none = { headers: [], bytes: Buffer.alloc(0) }
  if (random.chance(['GET', 'HEAD'].includes(method) ? 0.95 : 0.5)) return none
  const content = Buffer.alloc(random.pick([1, 10, 1_000, 20_000]), random.pick(['x', '\0', 'GET / HTTP/1.1\r\n\r\n']))
  if (random.chance(0.5)) return { headers: [`Content-Length: ${content.length}`], bytes: content }
  const chunk = Buffer.concat([Buffer.from(`${content.length.toString(16)};x=y\r\n`), content, Buffer.from('\r\n')])
  const end = random.pick(['0\r\n\r\n', '0\r\nTrailer: x\r\n\r\n'])
  return { headers: ['Transfer-Encoding: chunked'], bytes: Buffer.concat([chunk, Buffer.from(end)]) }
}
