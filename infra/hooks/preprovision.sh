#!/bin/sh
# Tells main.bicepparam what azd does not know: who deploys, and from where. What is set already is left as it is.
set -eu

if [ -z "${AZURE_PRINCIPAL_NAME:-}" ]; then
    if [ "$(az account show --query user.type --output tsv)" = user ]; then
        azd env set AZURE_PRINCIPAL_ID "$(az ad signed-in-user show --query id --output tsv)"
        azd env set AZURE_PRINCIPAL_NAME "$(az ad signed-in-user show --query userPrincipalName --output tsv)"
        azd env set AZURE_PRINCIPAL_TYPE User
    else
        application=$(az account show --query user.name --output tsv)
        azd env set AZURE_PRINCIPAL_ID "$(az ad sp show --id "$application" --query id --output tsv)"
        azd env set AZURE_PRINCIPAL_NAME "$(az ad sp show --id "$application" --query displayName --output tsv)"
        azd env set AZURE_PRINCIPAL_TYPE ServicePrincipal
    fi
fi

# The database's firewall lets this machine in. Behind an address that changes, or to ask nobody: set it yourself.
if [ -z "${DEPLOYER_ADDRESS:-}" ]; then
    if address=$(curl --fail --silent --max-time 10 https://api.ipify.org); then
        azd env set DEPLOYER_ADDRESS "$address"
    else
        echo "This machine's address is not known: azd env set DEPLOYER_ADDRESS …, or the database stays closed." >&2
    fi
fi
