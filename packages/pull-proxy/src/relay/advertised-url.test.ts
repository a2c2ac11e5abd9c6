import type { NetworkInterfaceInfo } from 'node:os'
import { expect, test } from 'vitest'
import { advertisedUrl } from './advertised-url.ts'

const address = (text: string, internal: boolean, family: 'IPv4' | 'IPv6' = 'IPv4') =>
  ({ address: text, internal, family }) as NetworkInterfaceInfo

const interfaces = {
  lo: [address('127.0.0.1', true), address('::1', true, 'IPv6')],
  eth0: [address('fe80::1', false, 'IPv6'), address('10.1.2.3', false)],
  eth1: [address('10.9.9.9', false)],
}

test.each([
  ['http://127.0.0.1:5051', 'http://127.0.0.1:5051'],
  ['http://10.9.9.9:5051', 'http://10.9.9.9:5051'],
  ['http://0.0.0.0:5051', 'http://10.1.2.3:5051'],
  ['http://[::]:5051', 'http://10.1.2.3:5051'],
])('%s is advertised as %s', (listening, advertised) => {
  expect(advertisedUrl(listening, interfaces)).toBe(advertised)
})

test('a wildcard is advertised as loopback where there is nothing else', () => {
  expect(advertisedUrl('http://0.0.0.0:5051', { lo: interfaces.lo })).toBe('http://127.0.0.1:5051')
})
