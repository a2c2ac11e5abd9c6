import { expect, test } from 'vitest'
import { isPublicAddress, isPublicName } from './public-address.ts'

test.each([
  '1.1.1.1',
  '44.205.64.79',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.0.1',
  '100.63.255.255',
  '100.128.0.0',
  '223.255.255.254',
  '2606:4700::6810:84e5',
  '2a00:1450:4001:82a::200e',
  // Docker Hub's address as a network with NAT64 gives it.
  '64:ff9b::2ccd:404f',
])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true)
})

test.each([
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '100.64.0.1',
  '100.100.100.200',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:1.1.1.1',
  '::ffff:0:127.0.0.1',
  '64:ff9b::127.0.0.1',
  '64:ff9b::10.1.2.3',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::1.1.1.1',
  '100::1',
  '2001::1',
  '2001:2::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '2002:101:101::',
  '3fff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  '',
  'registry.example',
  '1.1.1',
  '1.1.1.1.',
])('%j is not public', (address) => {
  expect(isPublicAddress(address)).toBe(false)
})

test.each(['ghcr.io', 'registry-1.docker.io', 'Quay.IO', 'ghcr.io.', 'local.example'])(
  '%s is a public name',
  (name) => {
    expect(isPublicName(name)).toBe(true)
  },
)

test.each([
  'localhost',
  'LOCALHOST',
  'localhost.',
  'a.localhost',
  'registry',
  'registry.',
  'printer.local',
  'registry.kube-system.svc.cluster.local',
  'metadata.google.internal',
  'metadata.google.internal.',
  'router.home.arpa',
  'nas.lan',
  '',
  '.',
])('%j is a local name', (name) => {
  expect(isPublicName(name)).toBe(false)
})
