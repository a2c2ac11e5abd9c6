import type { Random } from '@layerlock/test-support'

/** What exists, and what must never be reached, as the drawn requests name them. */
export interface Known {
  /** A repository of the configured upstream. */
  readonly repository: string
  /** A blob that is in the store. */
  readonly digest: string
  /** `host:port` of a server that no request may make the proxy connect to. */
  readonly trap: string
}

const HEX = '0123456789abcdef'
const TAG_CHARACTERS = 'abcXYZ019_.-'

/** Makes one of several things, and only that one. */
export function draw<T>(random: Random, makers: readonly (() => T)[]): T {
  return random.pick(makers)()
}

/** A text of some length out of some characters. */
export function text(random: Random, characters: string, length: number): string {
  return Array.from({ length }, () => characters[random.between(0, characters.length - 1)]).join('')
}

const hex = (random: Random, length: number) => text(random, HEX, length)

/** Digests, a few of them well-formed. */
export function drawDigest(random: Random, { digest }: Known): string {
  const half = digest.slice(0, -random.between(1, 60))
  return draw(random, [
    () => digest,
    () => `sha256:${hex(random, 64)}`,
    () => `sha512:${hex(random, 128)}`,
    () => digest.toUpperCase(),
    () =>
      digest.replace('sha256', random.pick(['SHA256', 'sha1', 'md5', 'sha384', 'sha512', 'sha256+b64', '', 'blake3'])),
    () => half,
    () => `${digest}${hex(random, random.between(1, 40))}`,
    () => digest.replace(':', random.pick(['', '::', '%3A', '%3a', '-', '/', '%2F', ':%20', '%00:'])),
    () => `${digest}%00`,
    () => `${digest}%0d%0aX-Injected:%20yes`,
    () => `sha256:${encodeURIComponent('é'.repeat(32))}`,
    () => `sha256:${'%F0%9F%90%B3'.repeat(16)}`,
    () => 'sha256:',
    () => ':',
    () => `sha256:${'..%2f'.repeat(12)}`,
    () => hex(random, 64),
  ])
}

/** Tags, a few of them well-formed. */
export function drawTag(random: Random): string {
  return draw(random, [
    () => `t${text(random, TAG_CHARACTERS, random.between(0, 127))}`,
    () => text(random, TAG_CHARACTERS, random.between(128, 300)),
    () => `-${text(random, TAG_CHARACTERS, 5)}`,
    () => '.',
    () => '..',
    () => '%2e%2e',
    () => 'latest%00',
    () => 'latest%20',
    () => 'latest%0a',
    () => 'l%61test',
    () => '%ff%fe',
    () => '%',
    () => '%g1',
    () => encodeURIComponent('тег'),
    () => 'a'.repeat(random.between(1_000, 6_000)),
  ])
}

/** Repository names, a few of them well-formed. */
export function drawName(random: Random, { repository, trap }: Known): string {
  return draw(random, [
    () => repository,
    () => `docker.io/${repository}`,
    () => `${trap}/${repository}`,
    () => `${encodeURIComponent(trap)}/${repository}`,
    () => `library/${text(random, 'ab0', 6)}`,
    () => repository.toUpperCase(),
    () => repository.replace('/', random.pick(['//', '/./', '/../', '%2F', '%252F', '\\', '/%2e%2e/', ';/', '/..%2f'])),
    () => `../${repository}`,
    () => `..%2f..%2fetc%2fpasswd`,
    () => `${'a/'.repeat(random.between(2, 400))}a`,
    () => 'a'.repeat(random.between(200, 4_000)),
    () => `docker.io/docker.io/${repository}`,
    () => 'docker.io',
    () => '@',
    () => `user:pass@${trap}/${repository}`,
    () => encodeURIComponent('библиотека/приложение'),
    () => 'library/app%00',
    () => 'library/app%0d%0a',
    () => `a${'-'.repeat(random.between(20, 200))}`,
    () => `${'a_'.repeat(random.between(20, 100))}.`,
    () => '__proto__/constructor',
    () => 'blobs/uploads',
    () => 'manifests/manifests/manifests',
  ])
}

/** What `ns` may say, percent-encoded or not. Only `docker.io` is configured. */
export function drawNs(random: Random, { trap }: Known): string {
  const [host = '', port = ''] = trap.split(':')
  const value = draw(random, [
    () => 'docker.io',
    () => 'docker.io',
    () => trap,
    () => host,
    () => `${host}.`,
    () => `http://${trap}`,
    () => `//${trap}/`,
    () => `user:pass@${trap}`,
    () => `docker.io@${trap}`,
    () => `docker.io:443@${trap}`,
    () => `docker.io#@${trap}`,
    () => `${trap}/v2`,
    () => 'localhost',
    () => `localhost:${port}`,
    () => '[::1]',
    () => `[::ffff:127.0.0.1]:${port}`,
    () => '169.254.169.254',
    () => '0.0.0.0',
    () => `0:${port}`,
    () => `2130706433:${port}`,
    () => `0x7f000001:${port}`,
    () => `127.1:${port}`,
    () => 'DOCKER.IO',
    () => 'docker.io.',
    () => 'docker.io:443',
    () => ' docker.io',
    () => 'docker.io\0',
    () => 'docker.io\r\nHost: x',
    () => 'dосker.io',
    () => '*',
    () => '',
    () => '__proto__',
    () => 'a'.repeat(random.between(300, 3_000)),
  ])
  return random.chance(0.5) ? encodeURIComponent(value) : value.replaceAll(/[^!-~]|[#&]/g, encodeURIComponent)
}

/** `Range` headers, most of which mean nothing. */
export function drawRange(random: Random): string {
  const many = () => Array.from({ length: random.between(2, 700) }, (_, index) => `${index}-${index}`).join(',')
  return draw(random, [
    () => 'bytes=0-0',
    () => 'bytes=-1',
    () => `bytes=${random.between(0, 10_000)}-${random.between(0, 10_000)}`,
    () => `bytes=${'9'.repeat(random.between(10, 400))}-`,
    () => `bytes=-${'9'.repeat(random.between(10, 400))}`,
    () => `bytes=0-${'9'.repeat(random.between(10, 400))}`,
    () => 'bytes=--1',
    () => 'bytes=-',
    () => 'bytes=',
    () => 'bytes',
    () => 'bytes=1',
    () => 'bytes=0x0-0xff',
    () => 'bytes=1e3-2e3',
    () => 'bytes=NaN-Infinity',
    () => 'bytes=-0',
    () => 'bytes=9007199254740993-',
    () => 'bytes=18446744073709551616-18446744073709551617',
    () => 'bytes= 0 - 5',
    () => 'bytes=0-5,',
    () => 'bytes=,,,',
    () => `bytes=${many()}`,
    () => `bytes=${'0-,'.repeat(random.between(2, 500))}0-`,
    () => `bytes=0-0,${'-1,'.repeat(random.between(2, 500))}-1`,
    () => `lines=${many()}`,
    () => 'BYTES=0-1',
    () => '\u00e9=0-1',
    () => '=',
    () => 'none',
  ])
}
