import { defineConfig } from 'vitest/config'
import { CountReporter } from './test/reporter.ts'

export default defineConfig({
  test: {
    reporters: ['default', new CountReporter()],
    // Tests wait more than they compute: two workers are faster even on one core.
    maxWorkers: 2,
    // One after another: what starts real processes should have the machine for itself.
    projects: [
      {
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          // A net, not a measure: a busy machine may take long, and no test asserts on time.
          testTimeout: 60_000,
          include: ['packages/*/src/**/*.test.ts', 'test/{arch,docs,support}/**/*.test.ts', 'bench/src/**/*.test.ts'],
        },
      },
      {
        test: {
          name: 'e2e',
          sequence: { groupOrder: 1 },
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        // Builds and packs the packages, and uses them as users would.
        test: {
          name: 'pack',
          sequence: { groupOrder: 2 },
          include: ['test/pack/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        // Real processes that are killed and stopped, and the simulation of a bad network.
        test: {
          name: 'faults',
          sequence: { groupOrder: 3 },
          include: ['test/{faults,interleaving}/**/*.test.ts'],
          testTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
