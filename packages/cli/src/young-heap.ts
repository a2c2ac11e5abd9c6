import { setFlagsFromString } from 'node:v8'

/**
 * Keeps V8's young generation at its first size. Every chunk that a proxy relays is a small object that holds 64 KiB
 * outside the heap until the next young collection; with a young generation that grows to its usual 32 MiB, such chunks
 * pile up to over 100 MiB when several layers stream at full speed. The flag is read each time V8 would let it grow, so
 * setting it while running is safe. See docs/adr/0005-memory.md.
 */
export function keepYoungHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}
