// Private endpoints, each with its name in a private zone.

param location string
param tags object
param subnetId string

@description('As { name, groupId, resourceId, zoneId }.')
param endpoints array

resource endpoint 'Microsoft.Network/privateEndpoints@2024-01-01' = [for item in endpoints: {
  name: 'pep-${item.name}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: item.name
        properties: {
          privateLinkServiceId: item.resourceId
          groupIds: [item.groupId]
        }
      }
    ]
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-01-01' = [for (item, i) in endpoints: {
  parent: endpoint[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: item.name
        properties: { privateDnsZoneId: item.zoneId }
      }
    ]
  }
}]
