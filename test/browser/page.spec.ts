import { AxeBuilder } from '@axe-core/playwright'
import { expect } from '@playwright/test'
import type { Page } from '@playwright/test'
import { createFakeCore } from '../support/fake-core.ts'
import { sampleJob, sampleJobs } from '../support/sample-jobs.ts'
import { test } from './fixture.ts'

const screenshots = process.env['GANTRY_SCREENSHOTS']
const shoot = async (page: Page, name: string): Promise<void> => {
  if (screenshots !== undefined) await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true })
}

async function violationsOf(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'])
    .analyze()
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ''}`),
  )
}

const inventoryCalls = ['inventory.listArrays', 'inventory.listHosts', 'inventory.listContainers']

for (const colorScheme of ['light', 'dark'] as const) {
  test(`U1: filled, ${colorScheme}: lists everything, accessible, no violation of the policy`, async ({
    open,
  }) => {
    const { page, complaints } = await open({ colorScheme })
    await expect(page.getByRole('heading', { level: 2 })).toHaveText([
      'Arrays',
      'Hosts',
      'Containers',
      'Deployments',
      'Jobs',
    ])
    const arrays = page.getByRole('table', { name: 'Arrays and their volumes' })
    await expect(arrays.getByRole('row', { name: /^vol1/ })).toContainText('3 of 16')
    await expect(arrays.getByRole('row', { name: /^vol2/ })).toContainText('full, 16 of 16')
    await expect(arrays).toContainText('gantry array probe new-array')
    await expect(page.getByRole('table', { name: 'Containers' }).getByRole('row')).toHaveCount(5)
    await expect(page.getByRole('table', { name: 'Deployments' })).toContainText('lab-array/vol1/web')
    await expect(page.getByRole('progressbar')).toHaveJSProperty('value', 0.42)
    await shoot(page, `filled-${colorScheme}`)
    expect(await violationsOf(page)).toEqual([])
    expect(complaints).toEqual([])
  })

  test(`empty, ${colorScheme}: says what to do first`, async ({ open }) => {
    const { page, complaints } = await open({ colorScheme, core: createFakeCore({ filled: false }) })
    await expect(page.getByText('gantry array add')).toBeVisible()
    await expect(page.getByText('Nothing has been run yet.')).toBeVisible()
    await shoot(page, `empty-${colorScheme}`)
    expect(await violationsOf(page)).toEqual([])
    expect(complaints).toEqual([])
  })

  test(`error, ${colorScheme}: what happened, the words of the core, what to do`, async ({ open }) => {
    const failing = new Set([...inventoryCalls, 'jobs.list'])
    const { page, complaints } = await open({ colorScheme, failing })
    await expect(page.getByRole('alert').first()).toContainText(
      'inventory: The inventory is being rewritten (busy)',
    )
    await expect(page.getByText('holder: another console').first()).toBeVisible()
    await shoot(page, `error-${colorScheme}`)
    expect(await violationsOf(page)).toEqual([])
    failing.clear()
    await page.getByRole('button', { name: 'Try again' }).first().click()
    await expect(page.getByRole('table', { name: 'Hosts' })).toBeVisible()
    expect(complaints).toEqual([])
  })
}

test('high contrast and forced colours are accessible too', async ({ open }) => {
  for (const options of [
    { contrast: 'more' },
    { contrast: 'more', colorScheme: 'dark' },
    { forcedColors: 'active' },
  ] as const) {
    const { page } = await open(options)
    await expect(page.getByRole('table', { name: 'Hosts' })).toBeVisible()
    await shoot(page, `contrast-${Object.values(options).join('-')}`)
    expect(await violationsOf(page)).toEqual([])
  }
})

test('a narrow window shows jobs first and never scrolls sideways as a whole', async ({ open }) => {
  const { page } = await open({ width: 480 })
  await expect(page.getByRole('table', { name: 'Hosts' })).toBeVisible()
  await shoot(page, 'narrow')
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(480)
  const jobs = await page.getByRole('heading', { name: 'Jobs' }).boundingBox()
  const arrays = await page.getByRole('heading', { name: 'Arrays' }).boundingBox()
  expect(jobs?.y).toBeLessThan(arrays?.y ?? 0)
})

test('without the bridge the page says that it is not connected', async ({ open }) => {
  const { page } = await open({ unconnected: true })
  await expect(page.getByRole('alert').first()).toContainText('This page is not connected to Gantry')
})

test('U6: jobs are live: a new one appears, moves and ends', async ({ open }) => {
  const { page, core } = await open({ core: createFakeCore({ filled: false }) })
  await expect(page.getByText('Nothing has been run yet.')).toBeVisible()
  core.setJob(sampleJob('live', { title: 'Deploy web' }))
  const job = page.getByRole('listitem').filter({ hasText: 'Deploy web' })
  await expect(job).toContainText('running')
  core.api.emit('jobs.progressChanged', {
    jobId: 'live',
    progress: { fraction: 0.5, bytes: 1024 ** 3, totalBytes: 2 * 1024 ** 3, remainingMs: 65_000 },
  })
  await expect(job).toContainText('50 % · 1.00 GiB of 2.00 GiB · 1 min 05 s left')
  core.setJob(sampleJob('live', { title: 'Deploy web', state: 'done' }))
  await expect(job).toContainText('done')
  await expect(page.getByRole('status')).toHaveText('Deploy web: done')
})

for (const colorScheme of ['light', 'dark'] as const)
  test(`U6: a job is opened: its steps and log are live; accessible, ${colorScheme}`, async ({ open }) => {
    const { page, core, complaints } = await open({ colorScheme })
    const toggle = page.getByRole('button', { name: /^Steps and log: Stage/ })
    await expect(toggle).toHaveAttribute('aria-expanded', 'false')
    await toggle.press('Enter')
    await expect(toggle).toHaveAttribute('aria-expanded', 'true')
    const steps = page.getByRole('list', { name: /^Steps of Stage/ }).getByRole('listitem')
    await expect(steps).toHaveText([/Create the container file.*done$/, /Copy the VM data.*at work$/])
    const log = page.getByRole('region', { name: /^Log of Stage/ })
    await expect(log).toContainText('copy: Started')
    await shoot(page, `job-${colorScheme}`)
    expect(await violationsOf(page)).toEqual([])

    const job = sampleJobs.find(({ id }) => id === 'job-running') ?? sampleJob('none')
    core.setJob({
      ...job,
      steps: job.steps.map((step) => ({ ...step, state: 'done' })),
      log: [...job.log, { at: job.createdAt, stepId: 'copy', text: 'Done' }],
    })
    await expect(steps.last()).toHaveText(/done$/)
    await expect(log).toContainText('copy: Done')
    await toggle.press('Enter')
    await expect(log).toBeHidden()
    expect(complaints).toEqual([])
  })

test('the inventory is read again when the core says that it changed', async ({ open }) => {
  const { page, core } = await open()
  await expect(page.getByRole('table', { name: 'Hosts' })).toBeVisible()
  const before = core.called.filter(({ name }) => name === 'inventory.listHosts').length
  core.api.emit('inventory.inventoryChanged', {})
  await expect
    .poll(() => core.called.filter(({ name }) => name === 'inventory.listHosts').length)
    .toBe(before + 1)
})

test('U6: everything on the page is reached and used by keyboard', async ({ open }) => {
  const { page, core } = await open()
  await expect(page.getByRole('table', { name: 'Hosts' })).toBeVisible()
  const reached: string[] = []
  for (let stops = 0; stops < 20; stops++) {
    await page.keyboard.press('Tab')
    const name = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '')
    if (name === '' || reached.includes(name)) break
    reached.push(name)
  }
  expect(reached).toEqual([
    'Arrays and their volumes, table',
    'Hosts, table',
    'Containers, table',
    'Deployments, table',
    expect.stringMatching(/^Resume: Deploy/),
    expect.stringMatching(/^Undo: Deploy/),
    expect.stringMatching(/^Close …: Deploy/),
    expect.stringMatching(/^Steps and log: Deploy/),
    expect.stringMatching(/^Cancel: Stage/),
    ...Array.from({ length: 3 }, () => expect.stringMatching(/^Steps and log: /) as unknown),
  ])
  const close = page.getByRole('button', { name: /^Close …/ })
  await close.focus()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog')).toBeVisible()
  await shoot(page, 'dialog')
  expect(await violationsOf(page)).toEqual([])
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toBeHidden()
  await expect(close).toBeFocused()
  expect(core.called.some(({ name }) => name === 'jobs.close')).toBe(false)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Close the job' }).press('Enter')
  await expect(page.getByRole('listitem').filter({ hasText: 'closed' })).toBeVisible()
  await page.getByRole('button', { name: /^Cancel/ }).press('Space')
  await expect(page.getByRole('listitem').filter({ hasText: 'The job was cancelled' })).toBeVisible()
})
