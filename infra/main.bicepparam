// Values for `azd up`, and for `az deployment sub create --location … --parameters infra/main.bicepparam`.
//
// What differs between installations for development and for production is in parameters/*.json; which of the two
// holds is up to the environment: `azd env set DEPLOYMENT_PROFILE prod`. A value that one installation has alone is
// set the same way, by the names below.
using 'main.bicep'

var profiles = {
  dev: loadJsonContent('parameters/dev.json')
  prod: loadJsonContent('parameters/prod.json')
}
var profile = profiles[readEnvironmentVariable('DEPLOYMENT_PROFILE', 'dev')]

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'orchestrator')
param location = readEnvironmentVariable('AZURE_LOCATION', 'northeurope')
param hosting = readEnvironmentVariable('HOSTING', 'functions')
param privateNetworking = readEnvironmentVariable('PRIVATE_NETWORKING', '') == ''
  ? profile.privateNetworking
  : readEnvironmentVariable('PRIVATE_NETWORKING', '') == 'true'

// hooks/preprovision.sh finds these out.
param principalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param principalName = readEnvironmentVariable('AZURE_PRINCIPAL_NAME', '')
param principalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
param deployerAddress = readEnvironmentVariable('DEPLOYER_ADDRESS', '')

param instanceMemoryMB = profile.instanceMemoryMB
param maximumInstanceCount = profile.maximumInstanceCount
param alwaysReady = profile.alwaysReady
param rollingUpdates = profile.rollingUpdates

param databaseSku = profile.databaseSku
param databaseStorageGB = profile.databaseStorageGB
param databaseHighAvailability = profile.databaseHighAvailability
param databaseBackupDays = profile.databaseBackupDays
param databaseGeoRedundantBackup = profile.databaseGeoRedundantBackup
param databasePooledConnections = profile.databasePooledConnections
param databasePassword = readEnvironmentVariable('DATABASE_PASSWORD', '')

param storageSku = profile.storageSku
param softDeleteDays = profile.softDeleteDays
param scratchDays = profile.scratchDays
param archiveRuns = profile.archiveRuns
param dataContainers = profile.dataContainers
param blobAccess = readEnvironmentVariable('BLOB_ACCESS', 'containers')
param deployerWritesData = profile.deployerWritesData

param logRetentionDays = profile.logRetentionDays
param logDailyQuotaGB = profile.logDailyQuotaGB
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')

param kubernetesIssuer = readEnvironmentVariable('KUBERNETES_ISSUER', '')
param kubernetesNamespace = readEnvironmentVariable('KUBERNETES_NAMESPACE', 'orchestrator')

param appSettings = profile.appSettings
param callbackSecret = readEnvironmentVariable('CALLBACK_SECRET', '')
