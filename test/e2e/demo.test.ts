import { join } from 'node:path'
import { requireBinaries, requireRoot, runCommand } from '@layerlock/test-support'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')
const canUseContainerd = requireBinaries('containerd', 'ctr').available && requireRoot().available

async function runDemo(...args: string[]): Promise<string> {
  const demo = ['examples/two-node/src/main.ts', ...args]
  return (await runCommand(process.execPath, demo, { cwd: ROOT, timeoutMs: 150_000 })).stdout
}

test('the demo ends with status 0 and a ratio of 1.00', async () => {
  expect(await runDemo()).toMatch(/1\.00/)
})

test.skipIf(!canUseContainerd)(
  'the demo with two containerd daemons ends with status 0 and a ratio of 1.00',
  async () => {
    expect(await runDemo('--containerd')).toMatch(/1\.00/)
  },
)
