import { expect, test } from 'vitest'
import { EnvironmentProxy } from './environment-proxy.ts'

const both = { HTTP_PROXY: 'http://plain.example:3128', HTTPS_PROXY: 'http://user:secret@tls.example:3128' }

function proxyFor(url: string, environment: Record<string, string>): string | undefined {
  return new EnvironmentProxy(environment).for(new URL(url))?.hostname
}

test.each([
  ['https://ghcr.io', both, 'tls.example'],
  ['http://ghcr.io', both, 'plain.example'],
  ['https://ghcr.io', { HTTP_PROXY: 'http://plain.example' }, undefined],
  ['http://ghcr.io', { HTTPS_PROXY: 'http://tls.example' }, undefined],
  ['https://ghcr.io', { https_proxy: 'http://lower.example', HTTPS_PROXY: 'http://upper.example' }, 'lower.example'],
  ['https://ghcr.io', { https_proxy: ' ', HTTPS_PROXY: 'http://upper.example' }, 'upper.example'],
  ['https://ghcr.io', { HTTPS_PROXY: 'bare.example:3128' }, 'bare.example'],
  ['https://ghcr.io', { HTTPS_PROXY: 'https://secure.example' }, 'secure.example'],
  ['https://ghcr.io', {}, undefined],
])('%s with %o goes by %s', (url, environment, proxy) => {
  expect(proxyFor(url, environment as Record<string, string>)).toBe(proxy)
})

test.each(['https://localhost', 'https://localhost:5000', 'https://127.0.0.1', 'https://127.1.2.3', 'https://[::1]'])(
  '%s goes by no proxy',
  (url) => {
    expect(proxyFor(url, both)).toBeUndefined()
  },
)

test.each([
  ['*', 'https://ghcr.io'],
  ['ghcr.io', 'https://ghcr.io'],
  ['GHCR.IO', 'https://ghcr.io'],
  ['ghcr.io', 'https://ghcr.io.'],
  ['ghcr.io', 'https://pkg.ghcr.io'],
  ['.ghcr.io', 'https://pkg.ghcr.io'],
  ['*.ghcr.io', 'https://pkg.ghcr.io'],
  ['other.example, ghcr.io', 'https://ghcr.io'],
  ['other.example ghcr.io', 'https://ghcr.io'],
  ['ghcr.io:443', 'https://ghcr.io'],
  ['ghcr.io:5000', 'https://ghcr.io:5000'],
  ['10.1.2.3', 'https://10.1.2.3:5000'],
  ['10.0.0.0/8', 'https://10.1.2.3'],
  ['fd00::/8', 'https://[fd00::1]'],
  ['fd00::1', 'https://[fd00::1]'],
  ['[fd00::1]:5000', 'https://[fd00::1]:5000'],
])('NO_PROXY=%s keeps the proxy out of %s', (noProxy, url) => {
  expect(proxyFor(url, { ...both, NO_PROXY: noProxy })).toBeUndefined()
  expect(proxyFor(url, { ...both, no_proxy: noProxy })).toBeUndefined()
})

test.each([
  ['ghcr.io', 'https://notghcr.io'],
  ['.ghcr.io', 'https://ghcr.io'],
  ['*.ghcr.io', 'https://ghcr.io'],
  ['ghcr.io:5000', 'https://ghcr.io'],
  ['10.1.2.3', 'https://10.1.2.30'],
  ['1.2.3', 'https://10.1.2.3'],
  ['10.0.0.0/8', 'https://11.1.2.3'],
  ['10.0.0.0/99', 'https://10.1.2.3'],
  ['10.0.0.0/8', 'https://10.example.com'],
  ['10.0.0.0/8', 'https://[fd00::1]'],
  [' , ', 'https://ghcr.io'],
])('NO_PROXY=%s does not keep the proxy out of %s', (noProxy, url) => {
  expect(proxyFor(url, { ...both, NO_PROXY: noProxy })).toBe('tls.example')
})

test.each(['socks5://user:secret@proxy.example', 'http://user:secret@:x:', 'http://user:secret%zz@proxy.example'])(
  'a proxy that cannot be used is told without its password (%s)',
  (proxy) => {
    expect(() => new EnvironmentProxy({ HTTPS_PROXY: proxy })).toThrow(/^the environment's https_proxy is (?!.*secret)/)
  },
)
