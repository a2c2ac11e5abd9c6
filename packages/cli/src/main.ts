#!/usr/bin/env node
import { keepYoungHeapSmall } from './young-heap.ts'

// Before anything else is loaded: loading alone would let the young heap grow.
keepYoungHeapSmall()
const { runProgram } = await import('./program.ts')
await runProgram()
