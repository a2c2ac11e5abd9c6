import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'

import { describe, expect, test } from 'vitest'

import { digestOf, digestOfFile } from './descriptor.ts'
import { createLayer } from './layer.ts'
import { temporaryFolder } from './temporary-folder.ts'

describe('createLayer()', () => {
  test('makes a tar archive of exactly the wanted size that tar can read', async () => {
    await using folder = await temporaryFolder('layer-test')
    const layer = await createLayer({ folder: folder.path, sizeBytes: 100 * 512, seed: 'a' })
    expect(layer.size).toBe(100 * 512)
    expect(layer.diffId).toBe(layer.digest)
    expect(await digestOfFile(layer.path)).toBe(layer.digest)
    expect(execFileSync('tar', ['--list', '--file', layer.path]).toString()).toBe('layer-a.bin\n')
  })

  test('makes the same layer for the same seed only', async () => {
    await using folder = await temporaryFolder('layer-test')
    const make = async (seed: number) => (await createLayer({ folder: folder.path, sizeBytes: 1e5, seed })).digest
    expect(await make(1)).toBe(await make(1))
    expect(await make(1)).not.toBe(await make(2))
  })

  test('compresses, with the digest of the file and the diffId of its content', async () => {
    await using folder = await temporaryFolder('layer-test')
    const layer = await createLayer({ folder: folder.path, sizeBytes: 1e5, seed: 1, gzip: true })
    const file = await readFile(layer.path)
    expect(digestOf(file)).toBe(layer.digest)
    expect(digestOf(gunzipSync(file))).toBe(layer.diffId)
  })
})
