import { defineConfig } from '@playwright/test'

/** Browser tests use the built page in Chromium; Electron tests use the built application. Both need `npm run build`. */
export default defineConfig({
  testDir: 'test',
  fullyParallel: false,
  workers: 1,
  reporter: 'list',
  outputDir: 'test-results',
  projects: [
    { name: 'browser', testMatch: 'browser/**/*.spec.ts' },
    { name: 'electron', testMatch: 'electron/**/*.spec.ts' },
  ],
})
