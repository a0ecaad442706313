import { defineConfig } from 'vitest/config'
import { labWorkers } from './test/lab/lab-workers.ts'

const onLabs = {
  globalSetup: ['test/lab/global-setup.ts'],
  testTimeout: 180_000,
  hookTimeout: 300_000,
  maxWorkers: labWorkers(),
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src-*/**/*.test.ts', 'test/unit/**/*.test.ts', 'test/contract/**/*.unit.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts', 'test/contract/**/*.lab.test.ts'],
          ...onLabs,
        },
      },
      {
        test: {
          name: 'recovery',
          include: ['test/recovery/**/*.test.ts'],
          ...onLabs,
        },
      },
    ],
  },
})
