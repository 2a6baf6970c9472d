/* Each call of ours: what it sends, and what it makes of recorded answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "aws/ec2.h"
#include "aws_world.h"

static const char *recorded[4]; /* the answers' file names, in order */

static void answer_recorded(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    assert_non_null(recorded[w->step - 1]);
    world_recorded(reply, recorded[w->step - 1]);
}

static const char *text; /* the one answer's body */

static void answer_text(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    fake_reply(reply, 200, "", text);
}

static int set_up(void **state)
{
    world_set_up(state);
    struct world *w = *state;
    world_set_keys();
    world_set("AWS_REGION", "us-east-1");
    memset(recorded, 0, sizeof recorded);
    w->answer = answer_recorded;
    return world_open(w, NULL, NULL);
}

static void sent(struct world *w, size_t i, const char *body)
{
    assert_true(i < w->bodies.count);
    assert_string_equal(w->bodies.items[i], body);
}

static void test_describe_instances(void **state)
{
    struct world *w = *state;
    struct ec2_instances l = {0};
    recorded[0] = "describe_instances_1.xml";
    recorded[1] = "describe_instances_2.xml";
    struct ec2_filter filters[] = {EC2_FILTER("tag:Name", "a b", "c*"),
                                   EC2_FILTER("instance-state-name", "running")};
    assert_int_equal(
        ec2_describe_instances_end(ec2_describe_instances(w->aws, filters, 2), &l, NULL), 0);
    sent(w, 0,
         "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3AName&Filter.1.Value.1="
         "a%20b&Filter.1.Value.2=c%2A&Filter.2.Name=instance-state-name&Filter.2.Value.1=running&"
         "MaxResults=1000");
    assert_non_null(strstr(w->bodies.items[1], "&MaxResults=1000&NextToken=page%2B2%2F%3D"));
    assert_int_equal(w->step, 2);
    assert_int_equal(l.count, 3);

    const struct ec2_instance *i = &l.items[0];
    assert_string_equal(i->id, "i-1234567890abcdef0");
    assert_string_equal(i->type, "t2.micro");
    assert_string_equal(i->image_id, "ami-bff32ccc");
    assert_string_equal(i->key_name, "my_keypair");
    assert_string_equal(i->subnet_id, "subnet-56f5f000");
    assert_string_equal(i->vpc_id, "vpc-11112222");
    assert_string_equal(i->zone, "eu-west-1c");
    assert_string_equal(i->client_token, "xMcwG14507example");
    assert_string_equal(i->public_ip, "54.194.252.215");
    assert_string_equal(i->private_ip, "192.168.1.88");
    assert_string_equal(i->public_dns, "ec2-54-194-252-215.eu-west-1.compute.amazonaws.com");
    assert_string_equal(i->private_dns, "ip-192-168-1-88.eu-west-1.compute.internal");
    assert_null(i->state_reason);
    assert_null(i->lifecycle);
    assert_int_equal(i->state, EC2_RUNNING);
    usec_t at;
    assert_true(clock_parse_iso(STR("2026-05-08T16:46:19Z"), &at));
    assert_true(i->launched == at);
    assert_int_equal(i->launch_index, 7);
    assert_int_equal(i->tag_count, 2);
    assert_string_equal(ec2_tag_value(i->tags, i->tag_count, "Name"), "Server & 1");
    assert_string_equal(ec2_tag_value(i->tags, i->tag_count, "Empty"), "");
    assert_null(ec2_tag_value(i->tags, i->tag_count, "name"));
    assert_int_equal(i->security_groups.count, 2);
    assert_string_equal(i->security_groups.items[1], "sg-2");

    i = &l.items[1];
    assert_int_equal(i->state, EC2_TERMINATED);
    assert_string_equal(i->state_reason, "Client.UserInitiatedShutdown: User initiated shutdown");
    assert_string_equal(i->lifecycle, "spot");
    assert_null(i->public_dns);
    assert_null(i->public_ip);
    assert_int_equal(l.items[2].state, EC2_STATE_UNKNOWN);
    assert_string_equal(l.items[2].state_reason, "Server.SpotInstanceTermination");
    ec2_instances_done(&l);
    assert_int_equal(l.count, 0);
}

static void test_same_page_again(void **state)
{
    struct world *w = *state;
    struct ec2_instances l = {0};
    struct err err = {0};
    recorded[0] = recorded[1] = "describe_instances_1.xml";
    assert_int_equal(ec2_describe_instances_end(ec2_describe_instances(w->aws, NULL, 0), &l, &err),
                     -1);
    assert_int_equal(err.code, ERR_PARSE);
    assert_int_equal(w->step, 2);
}

static void test_run_instances(void **state)
{
    struct world *w = *state;
    struct ec2_tag tags[] = {{(char *)"Name", (char *)"x_orchestrator"},
                             {(char *)"k+", (char *)"é"}};
    const char *const groups[] = {"sg-1", "sg-2"};
    struct ec2_run r = {.image_id = "ami-1",
                        .type = "m5.large",
                        .key_name = "key",
                        .subnet_id = "subnet-1",
                        .security_group_ids = groups,
                        .security_group_count = 2,
                        .client_token = "token-1",
                        .min_count = 1,
                        .max_count = 2,
                        .user_data = STR("#!/bin/sh\n\xff"),
                        .tags = tags,
                        .tag_count = 2,
                        .root_device = "/dev/sda1",
                        .volume_gb = 20,
                        .volume_type = "io2",
                        .volume_iops = 500,
                        .dedicated = true,
                        .public_ip = true};
    AUTO_BUF struct buf body = {0};
    ec2_run_encode(&r, &body);
    assert_string_equal(
        buf_text(&body),
        "ImageId=ami-1&InstanceType=m5.large&KeyName=key&MinCount=1&MaxCount=2&ClientToken=token-1&"
        "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-1&"
        "NetworkInterface.1.SecurityGroupId.1=sg-1&NetworkInterface.1.SecurityGroupId.2=sg-2&"
        "NetworkInterface.1.AssociatePublicIpAddress=true&"
        "NetworkInterface.1.DeleteOnTermination=true&"
        "BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1&BlockDeviceMapping.1.Ebs.VolumeSize=20&"
        "BlockDeviceMapping.1.Ebs.VolumeType=io2&BlockDeviceMapping.1.Ebs.Iops=500&"
        "BlockDeviceMapping.1.Ebs.Encrypted=true&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true&"
        "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name&"
        "TagSpecification.1.Tag.1.Value=x_orchestrator&TagSpecification.1.Tag.2.Key=k%2B&"
        "TagSpecification.1.Tag.2.Value=%C3%A9&TagSpecification.2.ResourceType=volume&"
        "TagSpecification.2.Tag.1.Key=Name&TagSpecification.2.Tag.1.Value=x_orchestrator&"
        "TagSpecification.2.Tag.2.Key=k%2B&TagSpecification.2.Tag.2.Value=%C3%A9&"
        "InstanceInitiatedShutdownBehavior=terminate&MetadataOptions.HttpTokens=required&"
        "MetadataOptions.HttpEndpoint=enabled&Placement.Tenancy=dedicated&"
        "UserData=IyEvYmluL3NoCv8%3D");
    recorded[0] = "run_instances.xml";
    struct ec2_instances l = {0};
    assert_int_equal(ec2_run_instances_end(ec2_run_instances(w->aws, buf_view(&body)), &l, NULL),
                     0);
    AUTO_FREE char *whole =
        mem_printf("Action=RunInstances&Version=2016-11-15&%s", buf_text(&body));
    sent(w, 0, whole);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.items[1].id, "i-0b");
    assert_int_equal(l.items[0].launch_index, 0);
    assert_int_equal(l.items[1].launch_index, 1);
    assert_int_equal(l.items[0].state, EC2_PENDING);
    ec2_instances_done(&l);

    r = (struct ec2_run){.image_id = "ami-1",
                         .type = "t3.micro",
                         .subnet_id = "subnet-1",
                         .security_group_ids = groups,
                         .security_group_count = 1,
                         .min_count = 1,
                         .max_count = 1,
                         .dry_run = true};
    buf_clear(&body);
    ec2_run_encode(&r, &body);
    assert_string_equal(buf_text(&body),
                        "ImageId=ami-1&InstanceType=t3.micro&MinCount=1&MaxCount=1&SubnetId="
                        "subnet-1&SecurityGroupId.1=sg-1&InstanceInitiatedShutdownBehavior="
                        "terminate&MetadataOptions.HttpTokens=required&MetadataOptions."
                        "HttpEndpoint=enabled&DryRun=true");
}

static const char *hostile_id, *hostile_ip, *hostile_index;

static void answer_hostile(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    (void)w, (void)request, (void)drop;
    AUTO_FREE char *xml = mem_printf(
        "<R><reservationSet><item><instancesSet><item><instanceId>%s</instanceId>"
        "<amiLaunchIndex>%s</amiLaunchIndex><ipAddress>%s</ipAddress>"
        "<privateIpAddress>%s</privateIpAddress></item></instancesSet></item></reservationSet></R>",
        hostile_id, hostile_index, hostile_ip, hostile_ip);
    fake_reply(reply, 200, "", xml);
}

/* Ids and addresses go into known_hosts, /etc/hosts, file names and argument lists. */
static void test_hostile_ids_and_addresses(void **state)
{
    struct world *w = *state;
    static const char *const ids[] = {
        "", "-oProxyCommand=x", "i-1 ssh-rsa", "i-1\n* ssh-rsa", "../../x", "i-1&#10;x"};
    w->answer = answer_hostile;
    hostile_ip = "10.0.0.1";
    hostile_index = "1";
    for (size_t k = 0; k < COUNT_OF(ids); k++) {
        struct ec2_instances l = {0};
        struct err err = {0};
        hostile_id = ids[k];
        struct aws_call *call = ec2_describe_instances(w->aws, NULL, 0);
        assert_int_equal(ec2_describe_instances_end(call, &l, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
    }
    static const char *const ips[] = {"10.0.0.1&#10;EOF_FLAMBE&#10;reboot", "-oProxyCommand=x",
                                      "host.example.com", "10.0.0.1 evil", "10.0.0.256"};
    hostile_id = "i-1";
    hostile_index = "2147483648";
    for (size_t k = 0; k < COUNT_OF(ips); k++) {
        struct ec2_instances l = {0};
        hostile_ip = ips[k];
        struct aws_call *call = ec2_describe_instances(w->aws, NULL, 0);
        assert_int_equal(ec2_describe_instances_end(call, &l, NULL), 0);
        assert_int_equal(l.count, 1);
        assert_null(l.items[0].public_ip);
        assert_null(l.items[0].private_ip);
        assert_int_equal(l.items[0].launch_index, 0);
        ec2_instances_done(&l);
    }
}

static void answer_gone(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (w->step == 1)
        world_ec2_error(reply, 400, "", "InvalidInstanceID.NotFound",
                        "The instance IDs 'i-0b, i-0d' do not exist");
    else
        fake_reply(reply, 200, "", "<TerminateInstancesResponse/>");
}

static void test_terminate_leaves_out_what_is_gone(void **state)
{
    struct world *w = *state;
    w->answer = answer_gone;
    const char *const ids[] = {"i-0a", "i-0b", "i-0c", "i-0d"};
    assert_int_equal(ec2_terminate_instances_end(ec2_terminate_instances(w->aws, ids, 4), NULL), 0);
    assert_int_equal(w->step, 2);
    sent(w, 1, "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=i-0a&InstanceId.2=i-0c");
}

static void test_terminate_nothing_left(void **state)
{
    struct world *w = *state;
    w->answer = answer_gone;
    const char *const ids[] = {"i-0b", "i-0d"};
    assert_int_equal(ec2_terminate_instances_end(ec2_terminate_instances(w->aws, ids, 2), NULL), 0);
    assert_int_equal(w->step, 1);
    assert_int_equal(ec2_terminate_instances_end(ec2_terminate_instances(w->aws, NULL, 0), NULL),
                     0);
    assert_int_equal(w->step, 1);
}

static void test_batches(void **state)
{
    struct world *w = *state;
    w->answer = answer_text;
    text = "<R/>";
    AUTO_STRV struct strv ids = {0};
    for (int i = 0; i < 2500; i++)
        strv_take(&ids, mem_printf("i-%017x", i));
    const char *const *all = (const char *const *)ids.items;
    assert_int_equal(
        ec2_terminate_instances_end(ec2_terminate_instances(w->aws, all, ids.count), NULL), 0);
    assert_int_equal(w->step, 3);
    assert_non_null(strstr(w->bodies.items[0], "&InstanceId.1000=i-000000000000003e7"));
    assert_non_null(strstr(w->bodies.items[2], "&InstanceId.500=i-000000000000009c3"));
    assert_null(strstr(w->bodies.items[2], "&InstanceId.501="));
    assert_int_equal(ec2_start_instances_end(ec2_start_instances(w->aws, all, 2), NULL), 0);
    sent(w, 3,
         "Action=StartInstances&Version=2016-11-15&InstanceId.1=i-00000000000000000&InstanceId.2="
         "i-00000000000000001");
    assert_int_equal(cloudwatch_delete_alarms_end(cloudwatch_delete_alarms(w->aws, all, 150), NULL),
                     0);
    assert_int_equal(w->step, 6);
    assert_true(str_starts(str_of(w->bodies.items[5]),
                           "Action=DeleteAlarms&Version=2010-08-01&AlarmNames.member.1="));
}

static void test_images_and_types(void **state)
{
    struct world *w = *state;
    recorded[0] = "describe_images.xml";
    recorded[1] = "describe_instance_types.xml";
    const char *const ids[] = {"ami-1"};
    const char *const names[] = {"g4dn.12xlarge", "t2.micro", "t2.micro"};
    struct ec2_images images = {0};
    struct ec2_instance_types types = {0};
    assert_int_equal(ec2_describe_images_end(ec2_describe_images(w->aws, ids, 1), &images, NULL),
                     0);
    assert_int_equal(images.count, 1);
    assert_string_equal(images.items[0].root_device, "/dev/sda1");
    assert_string_equal(images.items[0].architecture, "arm64");
    assert_string_equal(images.items[0].state, "available");
    assert_int_equal(images.items[0].root_gb, 8);
    ec2_images_done(&images);
    assert_int_equal(ec2_describe_instance_types_end(ec2_describe_instance_types(w->aws, names, 3),
                                                     &types, NULL),
                     0);
    sent(w, 1,
         "Action=DescribeInstanceTypes&Version=2016-11-15&InstanceType.1=g4dn.12xlarge&"
         "InstanceType.2=t2.micro");
    assert_int_equal(types.count, 2);
    assert_int_equal(types.items[0].gpus, 4);
    assert_string_equal(types.items[0].gpu_name, "T4");
    assert_int_equal(types.items[0].vcpus, 48);
    assert_true(types.items[0].memory_mib == 196608);
    assert_true(types.items[0].current_generation);
    assert_string_equal(types.items[1].architecture, "x86_64"); /* i386 stands first */
    assert_int_equal(types.items[1].gpus, 0);
    assert_null(types.items[1].gpu_name);
    ec2_instance_types_done(&types);
}

static void test_security_groups(void **state)
{
    struct world *w = *state;
    struct ec2_security_groups l = {0};
    recorded[0] = "describe_security_groups.xml";
    struct ec2_filter f = EC2_FILTER("group-name", "ssh");
    assert_int_equal(
        ec2_describe_security_groups_end(ec2_describe_security_groups(w->aws, &f, 1), &l, NULL), 0);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.items[0].id, "sg-1");
    assert_int_equal(l.items[0].ingress_count, 2);
    const struct ec2_ip_permission *p = l.items[0].ingress;
    assert_string_equal(p[0].protocol, "tcp");
    assert_int_equal(p[0].from_port, 22);
    assert_int_equal(p[0].cidrs.count, 2);
    assert_string_equal(p[0].cidrs.items[1], "::/0");
    assert_int_equal(p[1].to_port, -1);
    assert_string_equal(p[1].group_ids.items[0], "sg-1");
    ec2_security_groups_done(&l);
}

static void test_small_lists(void **state)
{
    struct world *w = *state;
    w->answer = answer_text;
    struct ec2_subnets subnets = {0};
    text = "<R><subnetSet><item><subnetId>subnet-1</subnetId><state>available</state>"
           "<vpcId>vpc-1</vpcId><cidrBlock>10.0.0.0/24</cidrBlock>"
           "<availableIpAddressCount>251</availableIpAddressCount>"
           "<availabilityZone>us-east-1a</availabilityZone>"
           "<mapPublicIpOnLaunch>true</mapPublicIpOnLaunch></item></subnetSet></R>";
    assert_int_equal(
        ec2_describe_subnets_end(ec2_describe_subnets(w->aws, NULL, 0), &subnets, NULL), 0);
    assert_int_equal(subnets.items[0].free_addresses, 251);
    assert_true(subnets.items[0].maps_public_ip);
    assert_string_equal(subnets.items[0].zone, "us-east-1a");
    ec2_subnets_done(&subnets);

    struct ec2_key_pairs keys = {0};
    text = "<R><keySet><item><keyPairId>key-1</keyPairId><keyName>k</keyName><keyFingerprint>aa:bb"
           "</keyFingerprint><keyType>ed25519</keyType><publicKey>ssh-ed25519 AAAA k\n</publicKey>"
           "</item></keySet></R>";
    assert_int_equal(
        ec2_describe_key_pairs_end(ec2_describe_key_pairs(w->aws, NULL, 0), &keys, NULL), 0);
    assert_string_equal(keys.items[0].type, "ed25519");
    assert_true(str_starts(str_of(keys.items[0].public_key), "ssh-ed25519 AAAA k"));
    assert_non_null(strstr(w->bodies.items[1], "&IncludePublicKey=true"));
    ec2_key_pairs_done(&keys);

    struct ec2_volumes volumes = {0};
    text = "<R><volumeSet><item><volumeId>vol-1</volumeId><size>20</size><status>in-use</status>"
           "<attachmentSet><item><instanceId>i-1</instanceId></item></attachmentSet></item>"
           "<item><volumeId>vol-2</volumeId><attachmentSet/></item></volumeSet></R>";
    assert_int_equal(
        ec2_describe_volumes_end(ec2_describe_volumes(w->aws, NULL, 0), &volumes, NULL), 0);
    assert_int_equal(volumes.count, 2);
    assert_string_equal(volumes.items[0].instance_id, "i-1");
    assert_int_equal(volumes.items[0].gb, 20);
    assert_null(volumes.items[1].instance_id);
    ec2_volumes_done(&volumes);

    AUTO_BUF struct buf console = {0};
    text = "<R><instanceId>i-1</instanceId><output>aGVsbG8K\r\nd29ybGQ=</output></R>";
    assert_int_equal(
        ec2_get_console_output_end(ec2_get_console_output(w->aws, "i-1", true), &console, NULL), 0);
    assert_string_equal(buf_text(&console), "hello\nworld");
    sent(w, 3, "Action=GetConsoleOutput&Version=2016-11-15&InstanceId=i-1&Latest=true");
    text = "<R><instanceId>i-1</instanceId></R>"; /* nothing yet */
    buf_clear(&console);
    assert_int_equal(
        ec2_get_console_output_end(ec2_get_console_output(w->aws, "i-1", false), &console, NULL),
        0);
    assert_int_equal(console.len, 0);
}

static void test_sts(void **state)
{
    struct world *w = *state;
    w->answer = answer_text;
    struct aws_identity who = {0};
    text = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
           "<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn>"
           "<UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult>"
           "</GetCallerIdentityResponse>";
    assert_int_equal(sts_get_caller_identity_end(sts_get_caller_identity(w->aws), &who, NULL), 0);
    sent(w, 0, "Action=GetCallerIdentity&Version=2011-06-15");
    assert_string_equal(who.arn, "arn:aws:iam::123456789012:user/me");
    assert_string_equal(who.account, "123456789012");
    aws_identity_done(&who);
}

static void test_ssm(void **state)
{
    struct world *w = *state;
    w->answer = answer_text;
    struct strv values = {0};
    const char *const names[] = {"/aws/a", "/aws/none", "/aws/b"};
    text = "{\"InvalidParameters\":[\"/aws/none\"],\"Parameters\":[{\"Name\":\"/aws/b\",\"Value\":"
           "\"ami-b\"},{\"Name\":\"/aws/a\",\"Value\":\"ami-a\"}]}";
    assert_int_equal(ssm_get_parameters_end(ssm_get_parameters(w->aws, names, 3), &values, NULL),
                     0);
    assert_int_equal(values.count, 3);
    assert_string_equal(values.items[0], "ami-a");
    assert_null(values.items[1]);
    assert_string_equal(values.items[2], "ami-b");
    strv_done(&values);
    struct str r = buf_view(&w->last);
    assert_true(str_is(fake_header(r, "X-Amz-Target"), "AmazonSSM.GetParameters"));
    assert_true(str_is(fake_header(r, "Content-Type"), "application/x-amz-json-1.1"));
    assert_true(str_is(fake_body(r), "{\"Names\":[\"/aws/a\",\"/aws/none\",\"/aws/b\"]}"));
}

static void answer_json_error(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    fake_reply(reply, 400, "x-amzn-ErrorType: AccessDeniedException:http://x\r\n",
               "{\"__type\":\"com.amazon#AccessDeniedException\",\"Message\":\"User is not "
               "authorized.\"}");
}

static void test_json_error(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    struct strv values = {0};
    const char *const names[] = {"/aws/a"};
    w->answer = answer_json_error;
    assert_int_equal(ssm_get_parameters_end(ssm_get_parameters(w->aws, names, 1), &values, &err),
                     -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_string_equal(err.origin, "AccessDeniedException");
    assert_string_equal(err.msg, "GetParameters: user is not authorized");
}

static void test_alarms(void **state)
{
    struct world *w = *state;
    w->answer = answer_text;
    text = "<PutMetricAlarmResponse/>";
    struct cloudwatch_alarm a = {.name = "flambe-i-1",
                                 .instance_id = "i-1",
                                 .period_s = 300,
                                 .evaluation_periods = 12,
                                 .cpu_percent = 0.5,
                                 .description = "idle"};
    assert_int_equal(cloudwatch_put_idle_alarm_end(cloudwatch_put_idle_alarm(w->aws, &a), NULL), 0);
    sent(w, 0,
         "Action=PutMetricAlarm&Version=2010-08-01&AlarmName=flambe-i-1&AlarmDescription=idle&"
         "ActionsEnabled=true&AlarmActions.member.1=arn%3Aaws%3Aautomate%3Aus-east-1%3Aec2%3A"
         "terminate&Namespace=AWS%2FEC2&MetricName=CPUUtilization&Statistic=Average&"
         "Dimensions.member.1.Name=InstanceId&Dimensions.member.1.Value=i-1&Period=300&"
         "EvaluationPeriods=12&Threshold=0.5&ComparisonOperator=LessThanThreshold&"
         "TreatMissingData=notBreaching");
    w->answer = answer_recorded;
    recorded[1] = "describe_alarms.xml";
    AUTO_STRV struct strv names = {0};
    assert_int_equal(
        cloudwatch_describe_alarms_end(cloudwatch_describe_alarms(w->aws, "a-"), &names, NULL), 0);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.items[1], "a-2");
}

static void answer_products(struct world *w, struct str request, struct buf *reply, bool *drop)
{
    if (w->step == 1)
        world_recorded(reply, "get_products.json");
    else
        fake_reply(reply, 200, "", "{\"FormatVersion\":\"aws_v1\",\"PriceList\":[]}");
}

static void test_pricing(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    double usd = -1;
    w->answer = answer_products;
    assert_int_equal(pricing_on_demand_end(pricing_on_demand(w->aws, "m5.xlarge"), &usd, NULL), 0);
    assert_true(usd > 0.1919 && usd < 0.1921);
    struct str auth = fake_header(buf_view(&w->last), "Authorization");
    assert_non_null(memmem(auth.p, auth.n, "/us-east-1/pricing/aws4_request", 31));
    assert_int_equal(pricing_on_demand_end(pricing_on_demand(w->aws, "nope"), &usd, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_describe_instances),
        T(test_same_page_again),
        T(test_run_instances),
        T(test_hostile_ids_and_addresses),
        T(test_terminate_leaves_out_what_is_gone),
        T(test_terminate_nothing_left),
        T(test_batches),
        T(test_images_and_types),
        T(test_security_groups),
        T(test_small_lists),
        T(test_sts),
        T(test_ssm),
        T(test_json_error),
        T(test_alarms),
        T(test_pricing),
    };
    return cmocka_run_group_tests_name("ec2", tests, NULL, NULL);
}
