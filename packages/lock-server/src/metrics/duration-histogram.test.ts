import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { DurationHistogram } from './duration-histogram.ts'

const options = { name: 'd', help: 'Durations.', labelNames: ['route'] } as const

test('DurationHistogram counts a duration in its bucket and all larger ones, bounds included', async () => {
  const registry = new Registry()
  const histogram = new DurationHistogram({ ...options, registers: [registry] })
  const series = histogram.series({ route: 'a' })
  for (const ms of [0.1, 1, 1.1, 9_000]) series.observe(ms)
  const text = await registry.metrics()
  expect(text).toContain('# TYPE d histogram\n')
  for (const line of [
    'd_bucket{route="a",le="0.0005"} 1',
    'd_bucket{route="a",le="0.001"} 2',
    'd_bucket{route="a",le="0.0025"} 3',
    'd_bucket{route="a",le="2.5"} 3',
    'd_bucket{route="a",le="+Inf"} 4',
    'd_sum{route="a"} 9.0022',
    'd_count{route="a"} 4',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
})

test('DurationHistogram says nothing of a series that has seen nothing', async () => {
  const registry = new Registry()
  const histogram = new DurationHistogram({ ...options, registers: [registry] })
  histogram.series({ route: 'a' })
  expect(await registry.metrics()).not.toContain('route="a"')
})
