import { readFile } from 'node:fs/promises'

import { describe, expect, test } from 'vitest'

import { startProcess } from './child-process.ts'
import { waitFor } from './wait-for.ts'

describe('startProcess()', () => {
  test('gives output, memory and the way it ended', async () => {
    await using running = await startProcess({
      command: 'sh',
      args: ['-c', 'echo ready; read line; exit 3'],
      readyWhen: /ready/,
    })
    expect(await running.exited).toEqual({ code: 3, signal: null })
    expect(running.stdout.lines).toEqual(['ready'])
  })

  test('tells resident memory while it runs', async () => {
    await using running = await startProcess({
      command: 'sh',
      args: ['-c', 'echo ready; sleep 60; true'],
      readyWhen: /ready/,
    })
    const rssBytes = await running.rssBytes()
    expect(rssBytes).toBeGreaterThan(0)
    expect(await running.peakRssBytes()).toBeGreaterThanOrEqual(rssBytes)
    running.kill('SIGKILL')
    expect(await running.exited).toEqual({ code: null, signal: 'SIGKILL' })
  })

  test('rejects with the output when a process ends before it is ready', async () => {
    const started = startProcess({ command: 'sh', args: ['-c', 'echo no luck >&2; exit 1'], readyWhen: /ready/ })
    await expect(started).rejects.toThrow('no luck')
  })

  test('leaves no child of the process behind', async () => {
    const running = await startProcess({
      command: 'sh',
      args: ['-c', 'sleep 60 & echo child $!; wait'],
      readyWhen: /child \d+\n/,
    })
    const child = /child (\d+)/.exec(running.stdout.text)![1]!
    await running[Symbol.asyncDispose]()
    const isGone = () =>
      readFile(`/proc/${child}/stat`, 'utf8').then(
        (stat) => stat.includes(') Z '),
        () => true,
      )
    expect(await waitFor(isGone, { what: `process ${child} to end` })).toBe(true)
  })
})
