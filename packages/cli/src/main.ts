#!/usr/bin/env node
import { keepYoungHeapSmall } from './young-heap.ts'

// Before anything else is loaded: loading alone would let the young heap grow. A lock server relays nothing, and its many
// small objects want the usual young heap.
if (process.argv[2] !== 'server') keepYoungHeapSmall()
const { runProgram } = await import('./program.ts')
await runProgram()
