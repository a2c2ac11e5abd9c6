import type { Random } from '@layerlock/test-support'
import { draw, drawRange, type Known } from './request-parts.ts'
import { type DrawPath, drawDistributionPath, drawWellFramed } from './well-framed-request.ts'

/**
 * Draws bytes that are no HTTP, or HTTP that leaves open where it begins and ends. An answer or a close is all that can
 * be wanted; where the bytes stop in the middle of something, the connection is closed from this side.
 */
export function drawBroken(random: Random, known: Known, drawPath: DrawPath = drawDistributionPath): Buffer {
  const wellFramed = drawWellFramed(random, known, drawPath).bytes
  return draw(random, [
    () => wellFramed.subarray(0, random.between(1, wellFramed.length - 1)),
    () => flipped(random, wellFramed),
    () => flipped(random, wellFramed),
    () => inserted(random, wellFramed),
    () => Buffer.from(Array.from({ length: random.between(1, 2_000) }, () => random.between(0, 255))),
    () => Buffer.from(drawFraming(random, known), 'latin1'),
    () => Buffer.from(drawFraming(random, known), 'latin1'),
    () => Buffer.from(drawStartLine(random, known), 'latin1'),
    () => Buffer.from(drawStartLine(random, known), 'latin1'),
    () => Buffer.from(drawHugeHead(random), 'latin1'),
  ])
}

function flipped(random: Random, bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes)
  for (let count = random.between(1, 8); count > 0; count--) {
    changed[random.between(0, Math.min(changed.length - 1, 400))] = random.between(0, 255)
  }
  return changed
}

function inserted(random: Random, bytes: Buffer): Buffer {
  const at = random.between(0, Math.min(bytes.length, 400))
  const extra = random.pick(['\0', '\r', '\n', '\r\n', '\r\n\r\n', ' ', '\t', '\x7f', '\x1b[2J', ':', '\u00ff\u00fe'])
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(extra, 'latin1'), bytes.subarray(at)])
}

/** Requests whose end is in doubt, as they are used to smuggle one request inside another. */
function drawFraming(random: Random, { repository, digest, trap }: Known): string {
  const target = `/v2/${repository}/blobs/${digest}`
  const smuggled = `GET http://${trap}/v2/ HTTP/1.1\r\nHost: ${trap}\r\n\r\n`
  const chunked = `0\r\n\r\n${smuggled}`
  const headers = random.pick([
    [`Content-Length: ${smuggled.length}`, 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
    ['Transfer-Encoding: xchunked'],
    ['Transfer-Encoding : chunked'],
    ['Transfer-Encoding:\x0bchunked'],
    ['Transfer-Encoding: chunked, gzip'],
    ['Content-Length: 5', 'Content-Length: 6'],
    ['Content-Length: 5, 6'],
    ['Content-Length: -1'],
    ['Content-Length: +5'],
    ['Content-Length: 0x5'],
    [`Content-Length: ${'9'.repeat(random.between(16, 40))}`],
    ['Content-Length: 1e3'],
    ['Content-Length:'],
    ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
    ['Connection: close, Content-Length', 'Content-Length: 3'],
    [`Range: ${drawRange(random)}`, ' folded: line'],
    ['No colon here'],
    ['X-Null: a\0b'],
    ['X-CR: a\rb'],
    ['X y: z'],
    [': empty name'],
  ])
  const body = random.pick(['', chunked, smuggled, 'zz\r\n\r\n', `${'f'.repeat(17)}\r\nx`, '-1\r\n\r\n', '5;\n\rabc'])
  return [`${random.pick(['GET', 'POST'])} ${target} HTTP/1.1`, 'Host: x', ...headers, '', body].join('\r\n')
}

function drawStartLine(random: Random, { trap, repository }: Known): string {
  const target = `/v2/${repository}/tags/list`
  const line = random.pick([
    `CONNECT ${trap} HTTP/1.1`,
    `CONNECT ${target} HTTP/1.1`,
    `GET  ${target} HTTP/1.1`,
    `GET\t${target}\tHTTP/1.1`,
    `GET ${target}`,
    `GET ${target} HTTP/0.9`,
    `GET ${target} HTTP/1.0`,
    `GET ${target} HTTP/2.0`,
    `GET ${target} HTTP/9.9`,
    `GET ${target} HTTP/1.1 extra`,
    `get ${target} HTTP/1.1`,
    `G\0T ${target} HTTP/1.1`,
    `${'X'.repeat(random.between(1, 5_000))} ${target} HTTP/1.1`,
    `GET ${target}\0 HTTP/1.1`,
    `GET /v2/\u00e9\u00ff HTTP/1.1`,
    `GET ${trap} HTTP/1.1`,
    `GET v2/ HTTP/1.1`,
    `GET * HTTP/1.1`,
    `GET ? HTTP/1.1`,
    `GET http:// HTTP/1.1`,
    `GET http://[ HTTP/1.1`,
    `GET http://${trap}:99999/ HTTP/1.1`,
    'PRI * HTTP/2.0\r\n\r\nSM',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    '\r\n\r\n\r\n',
    'HTTP/1.1 200 OK',
    ' ',
  ])
  const host = random.pick(['Host: x\r\n', '', 'Host: x\r\nHost: y\r\n', 'Host: \x01\r\n'])
  return `${line}${random.pick(['\r\n', '\r\n', '\n'])}${host}\r\n`
}

/** More head than a server takes: Node draws the line at 16 KiB. */
function drawHugeHead(random: Random): string {
  const size = random.between(17_000, 60_000)
  return draw(random, [
    () => `GET /${'x'.repeat(size)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    () => `GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(size)}\r\n\r\n`,
    () => `GET /v2/ HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(size / 6)}\r\n`,
    () => `GET /v2/ HTTP/1.1\r\nHost: x\r\nCookie: ${'c'.repeat(size)}`,
  ])
}
