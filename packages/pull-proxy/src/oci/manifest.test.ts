import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isManifest, manifestTypeOf, sizesOf } from './manifest.ts'

const index = 'application/vnd.oci.image.index.v1+json'
const manifest = 'application/vnd.oci.image.manifest.v1+json'
const docker = 'application/vnd.docker.distribution.manifest.v2+json'

test.each([
  [{ mediaType: docker, layers: [] }, docker],
  [{ mediaType: index, manifests: [] }, index],
  [{ manifests: [] }, index],
  [{ config: {}, layers: [] }, manifest],
  [{ schemaVersion: 1, fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
  // What could not stand in a header is none.
  [{ mediaType: 'a/b\r\nx-evil: 1', manifests: [] }, index],
  [{ mediaType: 5 }, manifest],
  [{ mediaType: `a/${'b'.repeat(300)}` }, manifest],
  [{ mediaType: '' }, manifest],
])('manifestTypeOf() says of %j that it is a %s', (value, type) => {
  expect(manifestTypeOf(Buffer.from(JSON.stringify(value)))).toBe(type)
})

test.each(['', 'no JSON', 'null', '[]', '"text"', '5'])('isManifest() says of %j that it is none', (text) => {
  expect(isManifest(Buffer.from(text))).toBe(false)
  expect(manifestTypeOf(Buffer.from(text))).toBe(manifest)
})

test('isManifest() takes any object for a manifest', () => {
  expect(isManifest(Buffer.from('{}'))).toBe(true)
})

test('manifestTypeOf() gives what can stand in a header, whatever the bytes are', () => {
  const value = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(value, (bytes) => {
      expect(manifestTypeOf(bytes)).toMatch(/^[\w.+-]+\/[\w.+-]+$/)
    }),
  )
})

test('sizesOf() tells the sizes of what has a digest and a size, and of nothing else', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const other = `sha256:${'b'.repeat(64)}`
  const layers = [
    { digest, size: 5 },
    { digest: 'x'.repeat(1_000), size: 1 },
    { digest: other, size: -1 },
    { digest: other, size: 1.5 },
    { digest: 5, size: 5 },
    null,
    'text',
  ]
  const sizes = sizesOf(Buffer.from(JSON.stringify({ layers, config: { digest: other, size: 7 }, manifests: 'none' })))
  expect([...sizes]).toEqual(
    expect.arrayContaining([
      [digest, 5],
      [other, 7],
    ]),
  )
  expect(sizes.size).toBe(2)
})
