/* clang-format off */
/* Made by tools/ec2-parameters: which parameters each EC2 action has, "N" for a number. Do not edit. */
#include "sandbox/ec2_parameters.h"

static const char *const AssociateRouteTable[] = {
    "DryRun", "GatewayId", "PublicIpv4Pool", "RouteTableId", "SubnetId", NULL};
static const char *const AttachInternetGateway[] = {
    "DryRun", "InternetGatewayId", "VpcId", NULL};
static const char *const AuthorizeSecurityGroupEgress[] = {
    "CidrIp", "DryRun", "FromPort", "GroupId", "IpPermissions.N.FromPort",
    "IpPermissions.N.Groups.N.Description", "IpPermissions.N.Groups.N.GroupId",
    "IpPermissions.N.Groups.N.GroupName", "IpPermissions.N.Groups.N.PeeringStatus",
    "IpPermissions.N.Groups.N.UserId", "IpPermissions.N.Groups.N.VpcId",
    "IpPermissions.N.Groups.N.VpcPeeringConnectionId", "IpPermissions.N.IpProtocol",
    "IpPermissions.N.IpRanges.N.CidrIp", "IpPermissions.N.IpRanges.N.Description",
    "IpPermissions.N.Ipv6Ranges.N.CidrIpv6", "IpPermissions.N.Ipv6Ranges.N.Description",
    "IpPermissions.N.PrefixListIds.N.Description", "IpPermissions.N.PrefixListIds.N.PrefixListId",
    "IpPermissions.N.ToPort", "IpProtocol", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId",
    "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", "ToPort", NULL};
static const char *const AuthorizeSecurityGroupIngress[] = {
    "CidrIp", "DryRun", "FromPort", "GroupId", "GroupName", "IpPermissions.N.FromPort",
    "IpPermissions.N.Groups.N.Description", "IpPermissions.N.Groups.N.GroupId",
    "IpPermissions.N.Groups.N.GroupName", "IpPermissions.N.Groups.N.PeeringStatus",
    "IpPermissions.N.Groups.N.UserId", "IpPermissions.N.Groups.N.VpcId",
    "IpPermissions.N.Groups.N.VpcPeeringConnectionId", "IpPermissions.N.IpProtocol",
    "IpPermissions.N.IpRanges.N.CidrIp", "IpPermissions.N.IpRanges.N.Description",
    "IpPermissions.N.Ipv6Ranges.N.CidrIpv6", "IpPermissions.N.Ipv6Ranges.N.Description",
    "IpPermissions.N.PrefixListIds.N.Description", "IpPermissions.N.PrefixListIds.N.PrefixListId",
    "IpPermissions.N.ToPort", "IpProtocol", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId",
    "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", "ToPort", NULL};
static const char *const CreateInternetGateway[] = {
    "DryRun", "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", NULL};
static const char *const CreateKeyPair[] = {
    "DryRun", "KeyFormat", "KeyName", "KeyType", "TagSpecification.N.ResourceType",
    "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value", NULL};
static const char *const CreatePlacementGroup[] = {
    "DryRun", "GroupName", "LinkedGroupId", "Operator.Principal", "PartitionCount", "SpreadLevel",
    "Strategy", "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", NULL};
static const char *const CreateRoute[] = {
    "CarrierGatewayId", "CoreNetworkArn", "DestinationCidrBlock", "DestinationIpv6CidrBlock",
    "DestinationPrefixListId", "DryRun", "EgressOnlyInternetGatewayId", "GatewayId", "InstanceId",
    "LocalGatewayId", "NatGatewayId", "NetworkInterfaceId", "OdbNetworkArn", "RouteTableId",
    "TransitGatewayId", "VpcEndpointId", "VpcPeeringConnectionId", NULL};
static const char *const CreateRouteTable[] = {
    "ClientToken", "DryRun", "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", "VpcId", NULL};
static const char *const CreateSecurityGroup[] = {
    "DryRun", "GroupDescription", "GroupName", "TagSpecification.N.ResourceType",
    "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value", "VpcId", NULL};
static const char *const CreateSubnet[] = {
    "AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "DryRun", "Ipv4IpamPoolId",
    "Ipv4NetmaskLength", "Ipv6CidrBlock", "Ipv6IpamPoolId", "Ipv6Native", "Ipv6NetmaskLength",
    "OutpostArn", "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", "VpcId", NULL};
static const char *const CreateTags[] = {
    "DryRun", "ResourceId.N", "Tag.N.Key", "Tag.N.Value", NULL};
static const char *const CreateVolume[] = {
    "AvailabilityZone", "AvailabilityZoneId", "ClientToken", "DryRun", "Encrypted", "Iops",
    "KmsKeyId", "MultiAttachEnabled", "Operator.Principal", "OutpostArn", "Size", "SnapshotId",
    "TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
    "TagSpecification.N.Tag.N.Value", "Throughput", "VolumeInitializationRate", "VolumeType",
    NULL};
static const char *const CreateVpc[] = {
    "AmazonProvidedIpv6CidrBlock", "CidrBlock", "DryRun", "InstanceTenancy", "Ipv4IpamPoolId",
    "Ipv4NetmaskLength", "Ipv6CidrBlock", "Ipv6CidrBlockNetworkBorderGroup", "Ipv6IpamPoolId",
    "Ipv6NetmaskLength", "Ipv6Pool", "TagSpecification.N.ResourceType",
    "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value",
    "VpcEncryptionControl.EgressOnlyInternetGatewayExclusion",
    "VpcEncryptionControl.ElasticFileSystemExclusion",
    "VpcEncryptionControl.InternetGatewayExclusion", "VpcEncryptionControl.LambdaExclusion",
    "VpcEncryptionControl.Mode", "VpcEncryptionControl.NatGatewayExclusion",
    "VpcEncryptionControl.VirtualPrivateGatewayExclusion",
    "VpcEncryptionControl.VpcLatticeExclusion", "VpcEncryptionControl.VpcPeeringExclusion", NULL};
static const char *const DeleteInternetGateway[] = {
    "DryRun", "InternetGatewayId", NULL};
static const char *const DeleteKeyPair[] = {
    "DryRun", "KeyName", "KeyPairId", NULL};
static const char *const DeletePlacementGroup[] = {
    "DryRun", "GroupName", NULL};
static const char *const DeleteRoute[] = {
    "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId", "DryRun",
    "RouteTableId", NULL};
static const char *const DeleteRouteTable[] = {
    "DryRun", "RouteTableId", NULL};
static const char *const DeleteSecurityGroup[] = {
    "DryRun", "GroupId", "GroupName", NULL};
static const char *const DeleteSubnet[] = {
    "DryRun", "SubnetId", NULL};
static const char *const DeleteTags[] = {
    "DryRun", "ResourceId.N", "Tag.N.Key", "Tag.N.Value", NULL};
static const char *const DeleteVolume[] = {
    "DryRun", "VolumeId", NULL};
static const char *const DeleteVpc[] = {
    "DryRun", "VpcId", NULL};
static const char *const DescribeAccountAttributes[] = {
    "AttributeName.N", "DryRun", NULL};
static const char *const DescribeAvailabilityZones[] = {
    "AllAvailabilityZones", "DryRun", "Filter.N.Name", "Filter.N.Value.N", "ZoneId.N", "ZoneName.N",
    NULL};
static const char *const DescribeImages[] = {
    "DryRun", "ExecutableBy.N", "Filter.N.Name", "Filter.N.Value.N", "ImageId.N",
    "IncludeDeprecated", "IncludeDisabled", "MaxResults", "NextToken", "Owner.N", NULL};
static const char *const DescribeInstanceAttribute[] = {
    "Attribute", "DryRun", "InstanceId", NULL};
static const char *const DescribeInstanceStatus[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "IncludeAllInstances", "IncludeManagedResources",
    "InstanceId.N", "MaxResults", "NextToken", NULL};
static const char *const DescribeInstanceTypeOfferings[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "LocationType", "MaxResults", "NextToken",
    NULL};
static const char *const DescribeInstanceTypes[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "IncludeUnsupportedInRegion", "InstanceType.N",
    "MaxResults", "NextToken", NULL};
static const char *const DescribeInstances[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "IncludeManagedResources", "InstanceId.N",
    "MaxResults", "NextToken", NULL};
static const char *const DescribeInternetGateways[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "InternetGatewayId.N", "MaxResults", "NextToken",
    NULL};
static const char *const DescribeKeyPairs[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "IncludePublicKey", "KeyName.N", "KeyPairId.N",
    NULL};
static const char *const DescribeNetworkInterfaces[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "IncludeManagedResources", "MaxResults",
    "NetworkInterfaceId.N", "NextToken", NULL};
static const char *const DescribePlacementGroups[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "GroupId.N", "GroupName.N", NULL};
static const char *const DescribeRegions[] = {
    "AllRegions", "DryRun", "Filter.N.Name", "Filter.N.Value.N", "RegionName.N", NULL};
static const char *const DescribeRouteTables[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken", "RouteTableId.N",
    NULL};
static const char *const DescribeSecurityGroups[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "GroupId.N", "GroupName.N", "MaxResults",
    "NextToken", NULL};
static const char *const DescribeSpotInstanceRequests[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken",
    "SpotInstanceRequestId.N", NULL};
static const char *const DescribeSubnets[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken", "SubnetId.N", NULL};
static const char *const DescribeTags[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken", NULL};
static const char *const DescribeVolumes[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "IncludeManagedResources", "MaxResults",
    "NextToken", "VolumeId.N", NULL};
static const char *const DescribeVpcAttribute[] = {
    "Attribute", "DryRun", "VpcId", NULL};
static const char *const DescribeVpcs[] = {
    "DryRun", "Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken", "VpcId.N", NULL};
static const char *const DetachInternetGateway[] = {
    "DryRun", "InternetGatewayId", "VpcId", NULL};
static const char *const DisassociateRouteTable[] = {
    "AssociationId", "DryRun", NULL};
static const char *const GetConsoleOutput[] = {
    "DryRun", "InstanceId", "Latest", NULL};
static const char *const ImportKeyPair[] = {
    "DryRun", "KeyName", "PublicKeyMaterial", "TagSpecification.N.ResourceType",
    "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value", NULL};
static const char *const ModifyInstanceAttribute[] = {
    "Attribute", "BlockDeviceMapping.N.DeviceName", "BlockDeviceMapping.N.Ebs.DeleteOnTermination",
    "BlockDeviceMapping.N.Ebs.VolumeId", "BlockDeviceMapping.N.NoDevice",
    "BlockDeviceMapping.N.VirtualName", "DisableApiStop.Value", "DisableApiTermination.Value",
    "DryRun", "EbsOptimized.Value", "EnaSupport.Value", "GroupId.N", "InstanceId",
    "InstanceInitiatedShutdownBehavior.Value", "InstanceType.Value", "Kernel.Value",
    "Ramdisk.Value", "SourceDestCheck.Value", "SriovNetSupport.Value", "UserData.Value", "Value",
    NULL};
static const char *const ModifySubnetAttribute[] = {
    "AssignIpv6AddressOnCreation.Value", "CustomerOwnedIpv4Pool", "DisableLniAtDeviceIndex.Value",
    "EnableDns64.Value", "EnableLniAtDeviceIndex", "EnableResourceNameDnsAAAARecordOnLaunch.Value",
    "EnableResourceNameDnsARecordOnLaunch.Value", "MapCustomerOwnedIpOnLaunch.Value",
    "MapPublicIpOnLaunch.Value", "PrivateDnsHostnameTypeOnLaunch", "SubnetId", NULL};
static const char *const ModifyVpcAttribute[] = {
    "EnableDnsHostnames.Value", "EnableDnsSupport.Value", "EnableNetworkAddressUsageMetrics.Value",
    "VpcId", NULL};
static const char *const RebootInstances[] = {
    "DryRun", "InstanceId.N", NULL};
static const char *const RevokeSecurityGroupEgress[] = {
    "CidrIp", "DryRun", "FromPort", "GroupId", "IpPermissions.N.FromPort",
    "IpPermissions.N.Groups.N.Description", "IpPermissions.N.Groups.N.GroupId",
    "IpPermissions.N.Groups.N.GroupName", "IpPermissions.N.Groups.N.PeeringStatus",
    "IpPermissions.N.Groups.N.UserId", "IpPermissions.N.Groups.N.VpcId",
    "IpPermissions.N.Groups.N.VpcPeeringConnectionId", "IpPermissions.N.IpProtocol",
    "IpPermissions.N.IpRanges.N.CidrIp", "IpPermissions.N.IpRanges.N.Description",
    "IpPermissions.N.Ipv6Ranges.N.CidrIpv6", "IpPermissions.N.Ipv6Ranges.N.Description",
    "IpPermissions.N.PrefixListIds.N.Description", "IpPermissions.N.PrefixListIds.N.PrefixListId",
    "IpPermissions.N.ToPort", "IpProtocol", "SecurityGroupRuleId.N", "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId", "ToPort", NULL};
static const char *const RevokeSecurityGroupIngress[] = {
    "CidrIp", "DryRun", "FromPort", "GroupId", "GroupName", "IpPermissions.N.FromPort",
    "IpPermissions.N.Groups.N.Description", "IpPermissions.N.Groups.N.GroupId",
    "IpPermissions.N.Groups.N.GroupName", "IpPermissions.N.Groups.N.PeeringStatus",
    "IpPermissions.N.Groups.N.UserId", "IpPermissions.N.Groups.N.VpcId",
    "IpPermissions.N.Groups.N.VpcPeeringConnectionId", "IpPermissions.N.IpProtocol",
    "IpPermissions.N.IpRanges.N.CidrIp", "IpPermissions.N.IpRanges.N.Description",
    "IpPermissions.N.Ipv6Ranges.N.CidrIpv6", "IpPermissions.N.Ipv6Ranges.N.Description",
    "IpPermissions.N.PrefixListIds.N.Description", "IpPermissions.N.PrefixListIds.N.PrefixListId",
    "IpPermissions.N.ToPort", "IpProtocol", "SecurityGroupRuleId.N", "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId", "ToPort", NULL};
static const char *const RunInstances[] = {
    "AdditionalInfo", "BlockDeviceMapping.N.DeviceName",
    "BlockDeviceMapping.N.Ebs.AvailabilityZone", "BlockDeviceMapping.N.Ebs.AvailabilityZoneId",
    "BlockDeviceMapping.N.Ebs.DeleteOnTermination", "BlockDeviceMapping.N.Ebs.EbsCardIndex",
    "BlockDeviceMapping.N.Ebs.Encrypted", "BlockDeviceMapping.N.Ebs.Iops",
    "BlockDeviceMapping.N.Ebs.KmsKeyId", "BlockDeviceMapping.N.Ebs.OutpostArn",
    "BlockDeviceMapping.N.Ebs.SnapshotId", "BlockDeviceMapping.N.Ebs.Throughput",
    "BlockDeviceMapping.N.Ebs.VolumeInitializationRate", "BlockDeviceMapping.N.Ebs.VolumeSize",
    "BlockDeviceMapping.N.Ebs.VolumeType", "BlockDeviceMapping.N.NoDevice",
    "BlockDeviceMapping.N.VirtualName",
    "CapacityReservationSpecification.CapacityReservationPreference",
    "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId",
    "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationResourceGroupArn",
    "ClientToken", "CpuOptions.AmdSevSnp", "CpuOptions.CoreCount",
    "CpuOptions.NestedVirtualization", "CpuOptions.ThreadsPerCore",
    "CreditSpecification.CpuCredits", "DisableApiStop", "DisableApiTermination", "DryRun",
    "EbsOptimized", "ElasticGpuSpecification.N.Type", "ElasticInferenceAccelerator.N.Count",
    "ElasticInferenceAccelerator.N.Type", "EnablePrimaryIpv6", "EnclaveOptions.Enabled",
    "HibernationOptions.Configured", "IamInstanceProfile.Arn", "IamInstanceProfile.Name", "ImageId",
    "InstanceInitiatedShutdownBehavior", "InstanceMarketOptions.MarketType",
    "InstanceMarketOptions.SpotOptions.BlockDurationMinutes",
    "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
    "InstanceMarketOptions.SpotOptions.MaxPrice",
    "InstanceMarketOptions.SpotOptions.SpotInstanceType",
    "InstanceMarketOptions.SpotOptions.ValidUntil", "InstanceType", "Ipv6Address.N.Ipv6Address",
    "Ipv6Address.N.IsPrimaryIpv6", "Ipv6AddressCount", "KernelId", "KeyName",
    "LaunchTemplate.LaunchTemplateId", "LaunchTemplate.LaunchTemplateName",
    "LaunchTemplate.Version", "LicenseSpecification.N.LicenseConfigurationArn",
    "MaintenanceOptions.AutoRecovery", "MaxCount", "MetadataOptions.HttpEndpoint",
    "MetadataOptions.HttpProtocolIpv6", "MetadataOptions.HttpPutResponseHopLimit",
    "MetadataOptions.HttpTokens", "MetadataOptions.InstanceMetadataTags", "MinCount",
    "Monitoring.Enabled", "NetworkInterface.N.AssociateCarrierIpAddress",
    "NetworkInterface.N.AssociatePublicIpAddress",
    "NetworkInterface.N.ConnectionTrackingSpecification.TcpEstablishedTimeout",
    "NetworkInterface.N.ConnectionTrackingSpecification.UdpStreamTimeout",
    "NetworkInterface.N.ConnectionTrackingSpecification.UdpTimeout",
    "NetworkInterface.N.DeleteOnTermination", "NetworkInterface.N.Description",
    "NetworkInterface.N.DeviceIndex", "NetworkInterface.N.EnaQueueCount",
    "NetworkInterface.N.EnaSrdSpecification.EnaSrdEnabled",
    "NetworkInterface.N.EnaSrdSpecification.EnaSrdUdpSpecification.EnaSrdUdpEnabled",
    "NetworkInterface.N.InterfaceType", "NetworkInterface.N.Ipv4Prefix.N.Ipv4Prefix",
    "NetworkInterface.N.Ipv4PrefixCount", "NetworkInterface.N.Ipv6AddressCount",
    "NetworkInterface.N.Ipv6Addresses.N.Ipv6Address",
    "NetworkInterface.N.Ipv6Addresses.N.IsPrimaryIpv6",
    "NetworkInterface.N.Ipv6Prefix.N.Ipv6Prefix", "NetworkInterface.N.Ipv6PrefixCount",
    "NetworkInterface.N.NetworkCardIndex", "NetworkInterface.N.NetworkInterfaceId",
    "NetworkInterface.N.PrimaryIpv6", "NetworkInterface.N.PrivateIpAddress",
    "NetworkInterface.N.PrivateIpAddresses.N.Primary",
    "NetworkInterface.N.PrivateIpAddresses.N.PrivateIpAddress",
    "NetworkInterface.N.SecondaryPrivateIpAddressCount", "NetworkInterface.N.SecurityGroupId.N",
    "NetworkInterface.N.SubnetId", "NetworkPerformanceOptions.BandwidthWeighting",
    "Operator.Principal", "Placement.Affinity", "Placement.AvailabilityZone",
    "Placement.AvailabilityZoneId", "Placement.GroupId", "Placement.GroupName", "Placement.HostId",
    "Placement.HostResourceGroupArn", "Placement.PartitionNumber", "Placement.SpreadDomain",
    "Placement.Tenancy", "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord",
    "PrivateDnsNameOptions.EnableResourceNameDnsARecord", "PrivateDnsNameOptions.HostnameType",
    "PrivateIpAddress", "RamdiskId", "SecondaryInterface.N.DeleteOnTermination",
    "SecondaryInterface.N.DeviceIndex", "SecondaryInterface.N.InterfaceType",
    "SecondaryInterface.N.NetworkCardIndex",
    "SecondaryInterface.N.PrivateIpAddress.N.PrivateIpAddress",
    "SecondaryInterface.N.PrivateIpAddressCount", "SecondaryInterface.N.SecondarySubnetId",
    "SecurityGroup.N", "SecurityGroupId.N", "SubnetId", "TagSpecification.N.ResourceType",
    "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value", "UserData", NULL};
static const char *const StartInstances[] = {
    "AdditionalInfo", "DryRun", "InstanceId.N", NULL};
static const char *const StopInstances[] = {
    "DryRun", "Force", "Hibernate", "InstanceId.N", "SkipOsShutdown", NULL};
static const char *const TerminateInstances[] = {
    "DryRun", "Force", "InstanceId.N", "SkipOsShutdown", NULL};

const struct ec2_parameters ec2_parameters[] = {
    {"AssociateRouteTable", AssociateRouteTable, sizeof AssociateRouteTable / sizeof *AssociateRouteTable - 1},
    {"AttachInternetGateway", AttachInternetGateway, sizeof AttachInternetGateway / sizeof *AttachInternetGateway - 1},
    {"AuthorizeSecurityGroupEgress", AuthorizeSecurityGroupEgress, sizeof AuthorizeSecurityGroupEgress / sizeof *AuthorizeSecurityGroupEgress - 1},
    {"AuthorizeSecurityGroupIngress", AuthorizeSecurityGroupIngress, sizeof AuthorizeSecurityGroupIngress / sizeof *AuthorizeSecurityGroupIngress - 1},
    {"CreateInternetGateway", CreateInternetGateway, sizeof CreateInternetGateway / sizeof *CreateInternetGateway - 1},
    {"CreateKeyPair", CreateKeyPair, sizeof CreateKeyPair / sizeof *CreateKeyPair - 1},
    {"CreatePlacementGroup", CreatePlacementGroup, sizeof CreatePlacementGroup / sizeof *CreatePlacementGroup - 1},
    {"CreateRoute", CreateRoute, sizeof CreateRoute / sizeof *CreateRoute - 1},
    {"CreateRouteTable", CreateRouteTable, sizeof CreateRouteTable / sizeof *CreateRouteTable - 1},
    {"CreateSecurityGroup", CreateSecurityGroup, sizeof CreateSecurityGroup / sizeof *CreateSecurityGroup - 1},
    {"CreateSubnet", CreateSubnet, sizeof CreateSubnet / sizeof *CreateSubnet - 1},
    {"CreateTags", CreateTags, sizeof CreateTags / sizeof *CreateTags - 1},
    {"CreateVolume", CreateVolume, sizeof CreateVolume / sizeof *CreateVolume - 1},
    {"CreateVpc", CreateVpc, sizeof CreateVpc / sizeof *CreateVpc - 1},
    {"DeleteInternetGateway", DeleteInternetGateway, sizeof DeleteInternetGateway / sizeof *DeleteInternetGateway - 1},
    {"DeleteKeyPair", DeleteKeyPair, sizeof DeleteKeyPair / sizeof *DeleteKeyPair - 1},
    {"DeletePlacementGroup", DeletePlacementGroup, sizeof DeletePlacementGroup / sizeof *DeletePlacementGroup - 1},
    {"DeleteRoute", DeleteRoute, sizeof DeleteRoute / sizeof *DeleteRoute - 1},
    {"DeleteRouteTable", DeleteRouteTable, sizeof DeleteRouteTable / sizeof *DeleteRouteTable - 1},
    {"DeleteSecurityGroup", DeleteSecurityGroup, sizeof DeleteSecurityGroup / sizeof *DeleteSecurityGroup - 1},
    {"DeleteSubnet", DeleteSubnet, sizeof DeleteSubnet / sizeof *DeleteSubnet - 1},
    {"DeleteTags", DeleteTags, sizeof DeleteTags / sizeof *DeleteTags - 1},
    {"DeleteVolume", DeleteVolume, sizeof DeleteVolume / sizeof *DeleteVolume - 1},
    {"DeleteVpc", DeleteVpc, sizeof DeleteVpc / sizeof *DeleteVpc - 1},
    {"DescribeAccountAttributes", DescribeAccountAttributes, sizeof DescribeAccountAttributes / sizeof *DescribeAccountAttributes - 1},
    {"DescribeAvailabilityZones", DescribeAvailabilityZones, sizeof DescribeAvailabilityZones / sizeof *DescribeAvailabilityZones - 1},
    {"DescribeImages", DescribeImages, sizeof DescribeImages / sizeof *DescribeImages - 1},
    {"DescribeInstanceAttribute", DescribeInstanceAttribute, sizeof DescribeInstanceAttribute / sizeof *DescribeInstanceAttribute - 1},
    {"DescribeInstanceStatus", DescribeInstanceStatus, sizeof DescribeInstanceStatus / sizeof *DescribeInstanceStatus - 1},
    {"DescribeInstanceTypeOfferings", DescribeInstanceTypeOfferings, sizeof DescribeInstanceTypeOfferings / sizeof *DescribeInstanceTypeOfferings - 1},
    {"DescribeInstanceTypes", DescribeInstanceTypes, sizeof DescribeInstanceTypes / sizeof *DescribeInstanceTypes - 1},
    {"DescribeInstances", DescribeInstances, sizeof DescribeInstances / sizeof *DescribeInstances - 1},
    {"DescribeInternetGateways", DescribeInternetGateways, sizeof DescribeInternetGateways / sizeof *DescribeInternetGateways - 1},
    {"DescribeKeyPairs", DescribeKeyPairs, sizeof DescribeKeyPairs / sizeof *DescribeKeyPairs - 1},
    {"DescribeNetworkInterfaces", DescribeNetworkInterfaces, sizeof DescribeNetworkInterfaces / sizeof *DescribeNetworkInterfaces - 1},
    {"DescribePlacementGroups", DescribePlacementGroups, sizeof DescribePlacementGroups / sizeof *DescribePlacementGroups - 1},
    {"DescribeRegions", DescribeRegions, sizeof DescribeRegions / sizeof *DescribeRegions - 1},
    {"DescribeRouteTables", DescribeRouteTables, sizeof DescribeRouteTables / sizeof *DescribeRouteTables - 1},
    {"DescribeSecurityGroups", DescribeSecurityGroups, sizeof DescribeSecurityGroups / sizeof *DescribeSecurityGroups - 1},
    {"DescribeSpotInstanceRequests", DescribeSpotInstanceRequests, sizeof DescribeSpotInstanceRequests / sizeof *DescribeSpotInstanceRequests - 1},
    {"DescribeSubnets", DescribeSubnets, sizeof DescribeSubnets / sizeof *DescribeSubnets - 1},
    {"DescribeTags", DescribeTags, sizeof DescribeTags / sizeof *DescribeTags - 1},
    {"DescribeVolumes", DescribeVolumes, sizeof DescribeVolumes / sizeof *DescribeVolumes - 1},
    {"DescribeVpcAttribute", DescribeVpcAttribute, sizeof DescribeVpcAttribute / sizeof *DescribeVpcAttribute - 1},
    {"DescribeVpcs", DescribeVpcs, sizeof DescribeVpcs / sizeof *DescribeVpcs - 1},
    {"DetachInternetGateway", DetachInternetGateway, sizeof DetachInternetGateway / sizeof *DetachInternetGateway - 1},
    {"DisassociateRouteTable", DisassociateRouteTable, sizeof DisassociateRouteTable / sizeof *DisassociateRouteTable - 1},
    {"GetConsoleOutput", GetConsoleOutput, sizeof GetConsoleOutput / sizeof *GetConsoleOutput - 1},
    {"ImportKeyPair", ImportKeyPair, sizeof ImportKeyPair / sizeof *ImportKeyPair - 1},
    {"ModifyInstanceAttribute", ModifyInstanceAttribute, sizeof ModifyInstanceAttribute / sizeof *ModifyInstanceAttribute - 1},
    {"ModifySubnetAttribute", ModifySubnetAttribute, sizeof ModifySubnetAttribute / sizeof *ModifySubnetAttribute - 1},
    {"ModifyVpcAttribute", ModifyVpcAttribute, sizeof ModifyVpcAttribute / sizeof *ModifyVpcAttribute - 1},
    {"RebootInstances", RebootInstances, sizeof RebootInstances / sizeof *RebootInstances - 1},
    {"RevokeSecurityGroupEgress", RevokeSecurityGroupEgress, sizeof RevokeSecurityGroupEgress / sizeof *RevokeSecurityGroupEgress - 1},
    {"RevokeSecurityGroupIngress", RevokeSecurityGroupIngress, sizeof RevokeSecurityGroupIngress / sizeof *RevokeSecurityGroupIngress - 1},
    {"RunInstances", RunInstances, sizeof RunInstances / sizeof *RunInstances - 1},
    {"StartInstances", StartInstances, sizeof StartInstances / sizeof *StartInstances - 1},
    {"StopInstances", StopInstances, sizeof StopInstances / sizeof *StopInstances - 1},
    {"TerminateInstances", TerminateInstances, sizeof TerminateInstances / sizeof *TerminateInstances - 1},
    {NULL, NULL, 0},
};
