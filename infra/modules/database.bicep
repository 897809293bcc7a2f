// The database server: PostgreSQL with PostGIS, and PgBouncer beside it where the tier has it. Its users are Entra's.

param name string
param location string
param tags object

@description('{ name, tier }.')
param sku object
param storageGB int
param highAvailability string
param backupDays int
param geoRedundantBackup bool

@description('Connections that PgBouncer keeps to the database, for each user.')
param pooledConnections int
param databaseName string

@description('Who makes the database\'s roles and migrates it.')
param administratorId string
param administratorName string
param administratorType string

@secure()
@description('Of a second administrator, for tools that know no tokens; empty: there is none.')
param password string
param isPrivate bool

@description('Address that is let through the firewall, beside those of Azure; empty: none.')
param clientAddress string

var hasPassword = !empty(password)
// https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-pgbouncer#limitations
var hasPgBouncer = sku.tier != 'Burstable'
var extensions = {
  name: 'azure.extensions'
  // PostGIS for vectors and COGs, all three for pgstac.
  value: 'POSTGIS,BTREE_GIST,UNACCENT'
}
var parameters = hasPgBouncer
  ? [
      extensions
      { name: 'pgbouncer.enabled', value: 'true' }
      { name: 'pgbouncer.default_pool_size', value: string(pooledConnections) }
    ]
  : [extensions]

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku.name
    tier: sku.tier
  }
  properties: {
    version: '16'
    createMode: 'Default'
    administratorLogin: hasPassword ? 'breakglass' : null
    administratorLoginPassword: hasPassword ? password : null
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: hasPassword ? 'Enabled' : 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: {
      storageSizeGB: storageGB
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: backupDays
      geoRedundantBackup: geoRedundantBackup ? 'Enabled' : 'Disabled'
    }
    highAvailability: { mode: highAvailability }
    network: { publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled' }
  }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: server
  name: databaseName
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

// One change after the other, all of them: the server refuses what comes while it makes another.
@batchSize(1)
resource configuration 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = [for parameter in parameters: {
  parent: server
  name: parameter.name
  properties: {
    value: parameter.value
    source: 'user-override'
  }
  dependsOn: [database]
}]

// Instances of Flex Consumption without a virtual network have addresses of Azure's, and no fixed ones.
resource fromAzure 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2024-08-01' = if (!isPrivate) {
  parent: server
  name: 'azure'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
  dependsOn: [configuration]
}

resource fromClient 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2024-08-01' = if (!isPrivate && !empty(clientAddress)) {
  parent: server
  name: 'deployer'
  properties: {
    startIpAddress: clientAddress
    endIpAddress: clientAddress
  }
  dependsOn: [fromAzure]
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: administratorId
  properties: {
    principalName: administratorName
    principalType: administratorType
    tenantId: tenant().tenantId
  }
  dependsOn: [configuration, fromAzure, fromClient]
}

output id string = server.id
output host string = server.properties.fullyQualifiedDomainName
output port int = hasPgBouncer ? 6432 : 5432
// Past PgBouncer, which has no LISTEN.
output directPort int = 5432
