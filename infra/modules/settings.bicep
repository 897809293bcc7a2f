// The app's settings: those of interfaces/settings.py, and those that the host and the libraries read.
// tests/unit/infra holds them to the settings model.

param identityName string
param clientId string
param storageAccountName string
param insightsConnectionString string
param databaseHost string
param databasePort int
param databaseDirectPort int
param databaseName string

@description('{ jobs, tasks }.')
param queues object

@description('Containers that jobs use, as { name, access }.')
param dataContainers array

@description('{ results, scratch, archive }.')
param containers object
param instanceMemoryMB int
param maximumInstanceCount int

@description('More of them, or others than these.')
param further object

// An instance takes so many messages at once.
var taken = loadJsonContent('../../host.json').extensions.queues.batchSize
var takenAhead = loadJsonContent('../../host.json').extensions.queues.newBatchThreshold

// What is left of an instance's memory beside the host, its own buffer of 272 MB not counted.
var memoryLimits = {
  '512': '384MiB'
  '2048': '1536MiB'
  '4096': '3328MiB'
}

// The name of the identity is that of its role in the database, and a token its password.
var database = '${identityName}@${databaseHost}'
var verified = '${databaseName}?sslmode=verify-full'

// What is written may be read, too.
var readable = [for item in dataContainers: item.name]
var writable = map(filter(dataContainers, item => (item.access == 'write')), item => (item.name))

var own = {
  DATABASE_URL: 'postgresql://${database}:${databasePort}/${verified}'
  DATABASE_DIRECT_URL: 'postgresql://${database}:${databaseDirectPort}/${verified}'
  DATABASE_IDENTITY: 'true'
  JOBS_QUEUE: queues.jobs
  TASKS_QUEUE: queues.tasks
  RESULTS_CONTAINER: containers.results
  SCRATCH_CONTAINER: containers.scratch
  RETENTION_ARCHIVE_CONTAINER: containers.archive
  SOURCE_CONTAINERS: join(readable, ', ')
  TARGET_CONTAINERS: join(writable, ', ')
  TASK_MEMORY_LIMIT: memoryLimits[string(instanceMemoryMB)]
  // An instance of Flex Consumption has 0.8 GB of temporary storage.
  TASK_SCRATCH_LIMIT: '512MiB'
  BATCH_PARALLELISM: string(maximumInstanceCount * (taken + takenAhead))
  LOG_FORMAT: 'json'
  // The host sends the same lines.
  TELEMETRY_LOGS: 'false'
}

var others = {
  // Bytes: no body that the app takes is larger (docs/security.md).
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '8454144'
  // The host's storage, which is the app's too.
  AzureWebJobsStorage__accountName: storageAccountName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: clientId
  // Which identity azure-identity takes.
  AZURE_CLIENT_ID: clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${clientId};Authorization=AAD'
}

output settings object = union(own, further, others)
