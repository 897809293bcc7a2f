// Alert rules on what the app sends to Azure Monitor. docs/how-to/respond-to-alerts.md says what to do at each.
//
//   az deployment group create --resource-group RG --template-file infra/alerts.bicep \
//     --parameters workspaceId=… actionGroupIds='["…"]'

@description('Log Analytics workspace behind Application Insights, in which AppMetrics is.')
param workspaceId string

@description('Action groups that are told.')
param actionGroupIds array = []

param location string = resourceGroup().location

@description('Begin of the rules\' names: one for each installation in a resource group.')
param prefix string = 'orchestrator'

@description('How long a message may wait for a worker, in seconds.')
param oldestMessageSeconds int = 900

@description('Largest share of attempts at tasks that may fail, in percent, of twenty attempts at least.')
@minValue(1)
@maxValue(100)
param failedPercent int = 20

// Totals are sent as they stand: what was added in the window is the difference. Where a total was not there at its
// beginning, all of it was added.
var added = '''
let added = (metric: string, window: timespan) {
    let now_ = AppMetrics | where TimeGenerated > ago(window) and Name == metric
        | summarize newest = max(Sum) by labels = tostring(Properties);
    let before = AppMetrics | where TimeGenerated between (ago(window + 1h) .. ago(window)) and Name == metric
        | summarize oldest = max(Sum) by labels = tostring(Properties);
    now_ | join kind=leftouter before on labels
    | extend n = newest - coalesce(oldest, 0.0), labels = parse_json(labels)
};
'''

var rules = [
  {
    name: 'stuck-work'
    text: 'Work that the timers should have moved does not move.'
    severity: 1
    minutes: 5
    query: 'AppMetrics | where Name == \'orchestrator_stuck\' and Sum > 0 | extend reason = tostring(Properties.reason)'
    dimension: 'reason'
    periods: 2
  }
  {
    name: 'reconciler-stopped'
    text: 'No process has told for ten minutes that the reconciler runs: no worker runs, or none reaches the database.'
    severity: 1
    minutes: 10
    // One row, exactly where nothing was told.
    query: 'AppMetrics | where Name == \'orchestrator_reconcile_last_timestamp_seconds\' | summarize newest = max(Sum) | where isnull(newest) or newest < (now() - datetime(1970-01-01)) / 1s - 300'
    dimension: ''
    periods: 1
  }
  {
    name: 'outbox-old'
    text: 'Messages have not been sent for minutes.'
    severity: 1
    minutes: 5
    query: 'AppMetrics | where Name == \'orchestrator_outbox_oldest_seconds\' and Sum > 120 | extend queue = tostring(Properties.queue)'
    dimension: 'queue'
    periods: 2
  }
  {
    name: 'poison'
    text: 'Messages could not be processed.'
    severity: 2
    minutes: 15
    query: '${added} added(\'orchestrator_poison_messages_total\', 15m) | where n > 0 | extend queue = tostring(labels.queue)'
    dimension: 'queue'
    periods: 1
  }
  {
    name: 'callbacks-given-up'
    text: 'Callbacks were given up: their receiver did not take them.'
    severity: 2
    minutes: 60
    query: '${added} added(\'orchestrator_callback_attempts_total\', 1h) | where tostring(labels.outcome) == \'dead\' and n > 0'
    dimension: ''
    periods: 1
  }
  {
    name: 'task-failures'
    text: 'Many tasks of a type fail.'
    severity: 2
    minutes: 15
    query: '${added} added(\'orchestrator_task_attempts_total\', 15m) | extend task_type = tostring(labels.task_type), outcome = tostring(labels.outcome) | where outcome in (\'completed\', \'failed\') | summarize failed = sumif(n, outcome == \'failed\'), ended = sum(n) by task_type | where ended >= 20 and 100.0 * failed / ended > ${failedPercent}'
    dimension: 'task_type'
    periods: 1
  }
  {
    name: 'lost-leases'
    text: 'Workers die or hang.'
    severity: 2
    minutes: 15
    query: '${added} added(\'orchestrator_task_attempts_total\', 15m) | where tostring(labels.outcome) == \'lease_lost\' | summarize n = sum(n) | where n >= 5'
    dimension: ''
    periods: 1
  }
  {
    name: 'oldest-message'
    text: 'A message waits for a worker.'
    severity: 2
    minutes: 5
    query: 'AppMetrics | where Name == \'orchestrator_queue_oldest_seconds\' and Sum > ${oldestMessageSeconds} | extend queue = tostring(Properties.queue) | where queue !endswith \'-poison\''
    dimension: 'queue'
    periods: 2
  }
  {
    name: 'breaker-open'
    text: 'Calls of a dependency are refused, because they fail.'
    severity: 1
    minutes: 5
    query: 'AppMetrics | where Name == \'orchestrator_breaker_open\' and Sum == 1 | extend dependency = tostring(Properties.dependency)'
    dimension: 'dependency'
    periods: 1
  }
  {
    name: 'tasks-put-off'
    text: 'Tasks are put off, because what they depend on fails.'
    severity: 2
    minutes: 5
    query: '${added} added(\'orchestrator_task_attempts_total\', 5m) | where tostring(labels.outcome) == \'deferred\' and n > 0 | extend task_type = tostring(labels.task_type)'
    dimension: 'task_type'
    periods: 2
  }
  {
    name: 'source-down'
    text: 'The database or the queues cannot be read.'
    severity: 1
    minutes: 5
    query: 'AppMetrics | where Name == \'orchestrator_source_up\' and Sum < 1 | extend source = tostring(Properties.source)'
    dimension: 'source'
    periods: 2
  }
  {
    name: 'pool-exhausted'
    text: 'Threads wait for a database connection.'
    severity: 2
    minutes: 5
    query: 'AppMetrics | where Name == \'orchestrator_pool_waiting\' and Sum > 0 | extend worker = tostring(Properties.worker)'
    dimension: 'worker'
    periods: 2
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${prefix}-${rule.name}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: '${prefix}: ${rule.name}'
    description: '${rule.text} See docs/how-to/respond-to-alerts.md.'
    severity: rule.severity
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT${rule.minutes}M'
    // What was there before the window is read for totals.
    overrideQueryTimeRange: contains(rule.query, 'let added') ? 'P1D' : null
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          dimensions: empty(rule.dimension) ? [] : [
            {
              name: rule.dimension
              operator: 'Include'
              values: ['*']
            }
          ]
          failingPeriods: {
            numberOfEvaluationPeriods: rule.periods
            minFailingPeriodsToAlert: rule.periods
          }
        }
      ]
    }
    autoMitigate: true
    actions: {
      actionGroups: actionGroupIds
    }
  }
}]
