import { expect, test } from 'vitest'
import { UpstreamStats } from './upstream-stats.ts'

test('keeps what each upstream said last, and counts', () => {
  const stats = new UpstreamStats()
  stats.rateLimit('docker.io', { limit: 100, remaining: 9, windowS: 21_600 })
  stats.rateLimit('docker.io', { limit: 100, remaining: 8, windowS: 21_600 })
  stats.rateLimit('ghcr.io', { remaining: 0 })
  stats.countRateLimited('ghcr.io')
  stats.countStaleTag('ghcr.io')
  stats.countStaleTag('ghcr.io')
  expect([...stats.rateLimits]).toEqual([
    ['docker.io', { limit: 100, remaining: 8, windowS: 21_600 }],
    ['ghcr.io', { remaining: 0 }],
  ])
  expect([...stats.rateLimited]).toEqual([['ghcr.io', 1]])
  expect([...stats.staleTags]).toEqual([['ghcr.io', 2]])
})

test('counts upstreams that clients have thought of together, and configured ones by name all the same', () => {
  const stats = new UpstreamStats(['docker.io', '*'])
  for (let host = 0; host < 1_000; host++) stats.countRateLimited(`host-${host}.example`)
  stats.countRateLimited('docker.io')
  stats.countStaleTag('one-more.example')
  expect(stats.rateLimited.size).toBe(64)
  expect(stats.rateLimited.get('host-0.example')).toBe(1)
  expect(stats.rateLimited.get('docker.io')).toBe(1)
  expect(stats.rateLimited.get('other')).toBe(1_000 - 62)
  expect([...stats.staleTags]).toEqual([['other', 1]])
})
