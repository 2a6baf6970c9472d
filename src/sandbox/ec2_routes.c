/* Internet gateways and route tables. */
#include "sandbox/ec2_priv.h"
#include <stdlib.h>
#include <string.h>

EC2_HANDLER(CreateInternetGateway);
EC2_HANDLER(AttachInternetGateway);
EC2_HANDLER(DetachInternetGateway);
EC2_HANDLER(DescribeInternetGateways);
EC2_HANDLER(DeleteInternetGateway);
EC2_HANDLER(CreateRouteTable);
EC2_HANDLER(DescribeRouteTables);
EC2_HANDLER(CreateRoute);
EC2_HANDLER(DeleteRoute);
EC2_HANDLER(AssociateRouteTable);
EC2_HANDLER(DisassociateRouteTable);
EC2_HANDLER(DeleteRouteTable);

#define MATCH(name) \
    static bool by_##name(const struct filter *f, const struct world *w, const struct resource *res)
#define GATEWAY(res) ((const struct world_gateway *)(const void *)(res))
#define TABLE(res) ((const struct world_route_table *)(const void *)(res))
#define ROUTES_MAX 200
#define ASSOCIATED "<associationState><state>associated</state></associationState>"

/* ---- internet gateways --------------------------------------------------------------------- */

MATCH(attachment_state)
{
    return filter_text(f, GATEWAY(res)->vpc_id ? "available" : NULL);
}
MATCH(owner)
{
    return filter_text(f, w->account);
}

static const struct filter_key gateway_filters[] = {
    {"internet-gateway-id", NULL, offsetof(struct resource, id)},
    {"attachment.vpc-id", NULL, offsetof(struct world_gateway, vpc_id)},
    {"attachment.state", by_attachment_state, 0},
    {"owner-id", by_owner, 0},
};

static void write_gateway(const struct world *w, const struct resource *res, struct buf *b)
{
    xml_text(b, "internetGatewayId", res->id);
    xml_text(b, "ownerId", w->account);
    xml_open(b, "attachmentSet");
    if (GATEWAY(res)->vpc_id) {
        xml_open(b, "item");
        xml_text(b, "vpcId", GATEWAY(res)->vpc_id);
        xml_text(b, "state", "available");
        xml_close(b, "item");
    }
    xml_close(b, "attachmentSet");
    ec2_tag_set(b, res);
}

static const struct describe gateways = {
    .kind = KIND_GATEWAY,
    .ids = "InternetGatewayId",
    .set = "internetGatewaySet",
    .filters = gateway_filters,
    .filter_count = COUNT_OF(gateway_filters),
    .page_min = 5,
    .page_max = 1000,
    .write = write_gateway,
};

void ec2_DescribeInternetGateways(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &gateways);
}

void ec2_CreateInternetGateway(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    if (!ec2_room(w, r, KIND_GATEWAY) || !ec2_tag_specification_of(q, r, KIND_GATEWAY, &tags) ||
        ec2_dry_run(q, r))
        return;
    struct world_gateway *g = resource_add(w, KIND_GATEWAY, NULL);
    ec2_tags_put(&tags, &g->r);
    ec2_open(q, r);
    xml_open(&r->body, "internetGateway");
    write_gateway(w, &g->r, &r->body);
    xml_close(&r->body, "internetGateway");
    ec2_close(q, r);
}

void ec2_AttachInternetGateway(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_gateway *g = ec2_find_param(w, q, r, KIND_GATEWAY, "InternetGatewayId");
    struct world_vpc *v = g ? ec2_find_param(w, q, r, KIND_VPC, "VpcId") : NULL;
    if (!v)
        return;
    if (g->vpc_id) {
        api_fail(r, 400, "Resource.AlreadyAssociated",
                 "resource %s is already attached to network %s", g->r.id, g->vpc_id);
        return;
    }
    FOR_EACH(struct world_gateway, other, w, KIND_GATEWAY)
    {
        if (other->vpc_id && strcmp(other->vpc_id, v->r.id) == 0) {
            api_fail(r, 400, "InvalidParameterValue",
                     "Network %s already has an internet gateway attached", v->r.id);
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    g->vpc_id = mem_dup(v->r.id);
    ec2_answer_true(q, r);
}

static bool has_public_addresses(const struct world *w, const char *vpc_id)
{
    FOR_EACH(struct world_instance, i, w, KIND_INSTANCE)
    {
        if (i->public_ip && strcmp(i->vpc_id, vpc_id) == 0)
            return true;
    }
    return false;
}

void ec2_DetachInternetGateway(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_gateway *g = ec2_find_param(w, q, r, KIND_GATEWAY, "InternetGatewayId");
    struct world_vpc *v = g ? ec2_find_param(w, q, r, KIND_VPC, "VpcId") : NULL;
    if (!v)
        return;
    if (!g->vpc_id || strcmp(g->vpc_id, v->r.id) != 0) {
        api_fail(r, 400, "Gateway.NotAttached", "resource %s is not attached to network %s",
                 g->r.id, v->r.id);
        return;
    }
    if (has_public_addresses(w, v->r.id)) {
        ec2_dependency(r,
                       "Network %s has some mapped public address(es). Please unmap those public "
                       "address(es) before detaching the gateway.",
                       v->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    free(TAKE(g->vpc_id));
    ec2_answer_true(q, r);
}

void ec2_DeleteInternetGateway(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_gateway *g = ec2_find_param(w, q, r, KIND_GATEWAY, "InternetGatewayId");
    if (!g)
        return;
    if (g->vpc_id) {
        ec2_dependency(r, "The internetGateway '%s' has dependencies and cannot be deleted.",
                       g->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    resource_remove(w, &g->r);
    ec2_answer_true(q, r);
}

/* ---- route tables -------------------------------------------------------------------------- */

static bool each_association(const struct filter *f, const struct resource *res,
                             bool (*match)(const struct filter *f,
                                           const struct route_association *))
{
    const struct route_association *a = TABLE(res)->associations.items;
    for (size_t i = 0; i < TABLE(res)->associations.count; i++) {
        if (match(f, &a[i]))
            return true;
    }
    return false;
}

static bool association_main(const struct filter *f, const struct route_association *a)
{
    return filter_bool(f, !a->subnet_id);
}
static bool association_id(const struct filter *f, const struct route_association *a)
{
    return filter_text(f, a->id);
}
static bool association_subnet(const struct filter *f, const struct route_association *a)
{
    return filter_text(f, a->subnet_id);
}

MATCH(main)
{
    return each_association(f, res, association_main);
}
MATCH(association)
{
    return each_association(f, res, association_id);
}
MATCH(subnet)
{
    return each_association(f, res, association_subnet);
}
MATCH(destination)
{
    const struct route *routes = TABLE(res)->routes.items;
    for (size_t i = 0; i < TABLE(res)->routes.count; i++) {
        if (filter_text(f, routes[i].destination))
            return true;
    }
    return false;
}
MATCH(route_gateway)
{
    const struct route *routes = TABLE(res)->routes.items;
    for (size_t i = 0; i < TABLE(res)->routes.count; i++) {
        if (filter_text(f, routes[i].gateway_id))
            return true;
    }
    return false;
}

static const struct filter_key table_filters[] = {
    {"route-table-id", NULL, offsetof(struct resource, id)},
    {"vpc-id", NULL, offsetof(struct world_route_table, vpc_id)},
    {"association.main", by_main, 0},
    {"association.route-table-association-id", by_association, 0},
    {"association.subnet-id", by_subnet, 0},
    {"route.destination-cidr-block", by_destination, 0},
    {"route.gateway-id", by_route_gateway, 0},
    {"owner-id", by_owner, 0},
};

/* A gateway that was deleted or detached leaves its routes as black holes. */
static const char *route_state(const struct world *w, const struct route *route)
{
    if (strcmp(route->gateway_id, "local") == 0)
        return "active";
    const struct world_gateway *g = resource_get(w, KIND_GATEWAY, route->gateway_id);
    return g && g->vpc_id ? "active" : "blackhole";
}

static void write_routes(const struct world *w, const struct world_route_table *t, struct buf *b)
{
    const struct route *routes = t->routes.items;
    xml_open(b, "routeSet");
    for (size_t i = 0; i < t->routes.count; i++) {
        bool local = strcmp(routes[i].gateway_id, "local") == 0;
        xml_open(b, "item");
        xml_text(b, "destinationCidrBlock", routes[i].destination);
        xml_text(b, "gatewayId", routes[i].gateway_id);
        xml_text(b, "state", route_state(w, &routes[i]));
        xml_text(b, "origin", local ? "CreateRouteTable" : "CreateRoute");
        xml_close(b, "item");
    }
    xml_close(b, "routeSet");
}

static void write_table(const struct world *w, const struct resource *res, struct buf *b)
{
    const struct world_route_table *t = TABLE(res);
    const struct route_association *a = t->associations.items;
    xml_text(b, "routeTableId", t->r.id);
    xml_text(b, "vpcId", t->vpc_id);
    xml_text(b, "ownerId", w->account);
    write_routes(w, t, b);
    xml_open(b, "associationSet");
    for (size_t i = 0; i < t->associations.count; i++) {
        xml_open(b, "item");
        xml_text(b, "routeTableAssociationId", a[i].id);
        xml_text(b, "routeTableId", t->r.id);
        xml_text(b, "subnetId", a[i].subnet_id);
        xml_bool(b, "main", !a[i].subnet_id);
        buf_adds(b, ASSOCIATED);
        xml_close(b, "item");
    }
    xml_close(b, "associationSet");
    buf_adds(b, "<propagatingVgwSet/>");
    ec2_tag_set(b, res);
}

static const struct describe tables = {
    .kind = KIND_ROUTE_TABLE,
    .ids = "RouteTableId",
    .set = "routeTableSet",
    .filters = table_filters,
    .filter_count = COUNT_OF(table_filters),
    .page_min = 5,
    .page_max = 100,
    .write = write_table,
};

void ec2_DescribeRouteTables(struct world *w, const struct api_request *q, struct api_reply *r)
{
    ec2_describe(w, q, r, &tables);
}

void ec2_CreateRouteTable(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct tag_list tags AUTO_TAGS = {0};
    const struct world_vpc *v = ec2_find_param(w, q, r, KIND_VPC, "VpcId");
    if (!v || !ec2_room(w, r, KIND_ROUTE_TABLE) ||
        !ec2_tag_specification_of(q, r, KIND_ROUTE_TABLE, &tags) || ec2_dry_run(q, r))
        return;
    struct world_route_table *t = resource_add(w, KIND_ROUTE_TABLE, NULL);
    t->vpc_id = mem_dup(v->r.id);
    struct route *local = vec_push(&t->routes, sizeof *local);
    local->destination = mem_dup(v->cidr);
    local->gateway_id = mem_dup("local");
    ec2_tags_put(&tags, &t->r);
    ec2_open(q, r);
    xml_open(&r->body, "routeTable");
    write_table(w, &t->r, &r->body);
    xml_close(&r->body, "routeTable");
    ec2_close(q, r);
}

static struct route *route_to(const struct world_route_table *t, const char *destination)
{
    struct route *routes = t->routes.items;
    for (size_t i = 0; i < t->routes.count; i++) {
        if (strcmp(routes[i].destination, destination) == 0)
            return &routes[i];
    }
    return NULL;
}

static char *read_destination(const struct api_request *q, struct api_reply *r)
{
    struct cidr range;
    const char *text = ec2_need(q, r, "DestinationCidrBlock");
    if (!text)
        return NULL;
    if (cidr_parse(text, &range))
        return cidr_text(range);
    api_fail(r, 400, "InvalidParameterValue",
             "Value (%s) for parameter destinationCidrBlock is invalid. This is not a valid CIDR "
             "block.",
             text);
    return NULL;
}

void ec2_CreateRoute(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_route_table *t = ec2_find_param(w, q, r, KIND_ROUTE_TABLE, "RouteTableId");
    AUTO_FREE char *destination = t ? read_destination(q, r) : NULL;
    const struct world_gateway *g =
        destination ? ec2_find_param(w, q, r, KIND_GATEWAY, "GatewayId") : NULL;
    if (!g)
        return;
    if (!g->vpc_id || strcmp(g->vpc_id, t->vpc_id) != 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "route table %s and network gateway %s belong to different networks", t->r.id,
                 g->r.id);
        return;
    }
    const struct route *there = route_to(t, destination);
    if (there && strcmp(there->gateway_id, g->r.id) != 0) {
        api_fail(r, 400, "RouteAlreadyExists", "The route identified by %s already exists.",
                 destination);
        return;
    }
    if (t->routes.count >= ROUTES_MAX) {
        api_fail(r, 400, "RouteLimitExceeded", "The route table has its most of %d routes",
                 ROUTES_MAX);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    if (!there) {
        struct route *made = vec_push(&t->routes, sizeof *made);
        made->destination = TAKE(destination);
        made->gateway_id = mem_dup(g->r.id);
    }
    ec2_answer_true(q, r);
}

void ec2_DeleteRoute(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_route_table *t = ec2_find_param(w, q, r, KIND_ROUTE_TABLE, "RouteTableId");
    AUTO_FREE char *destination = t ? read_destination(q, r) : NULL;
    if (!destination)
        return;
    struct route *route = route_to(t, destination);
    if (!route) {
        api_fail(r, 400, "InvalidRoute.NotFound",
                 "no route with destination-cidr-block %s in route table %s", destination, t->r.id);
        return;
    }
    if (strcmp(route->gateway_id, "local") == 0) {
        api_fail(r, 400, "InvalidParameterValue", "cannot remove local route %s in route table %s",
                 destination, t->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    free(route->destination);
    free(route->gateway_id);
    vec_remove(&t->routes, sizeof *route, (size_t)(route - (struct route *)t->routes.items));
    ec2_answer_true(q, r);
}

void ec2_AssociateRouteTable(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_route_table *t = ec2_find_param(w, q, r, KIND_ROUTE_TABLE, "RouteTableId");
    const struct world_subnet *s = t ? ec2_find_param(w, q, r, KIND_SUBNET, "SubnetId") : NULL;
    if (!s)
        return;
    if (strcmp(s->vpc_id, t->vpc_id) != 0) {
        api_fail(r, 400, "InvalidParameterValue",
                 "route table %s and subnet %s belong to different networks", t->r.id, s->r.id);
        return;
    }
    const struct world_route_table *other = route_table_of(w, s);
    const struct route_association *a = other->associations.items;
    for (size_t i = 0; i < other->associations.count; i++) {
        if (other != t && a[i].subnet_id && strcmp(a[i].subnet_id, s->r.id) == 0) {
            api_fail(r, 400, "Resource.AlreadyAssociated",
                     "the specified association for route table %s conflicts with an existing "
                     "association",
                     t->r.id);
            return;
        }
    }
    if (ec2_dry_run(q, r))
        return;
    struct route_association *made = t->associations.items;
    size_t at = 0;
    while (at < t->associations.count &&
           !(made[at].subnet_id && strcmp(made[at].subnet_id, s->r.id) == 0))
        at++;
    if (at == t->associations.count) {
        struct route_association *fresh = vec_push(&t->associations, sizeof *fresh);
        fresh->id = new_id("rtbassoc-");
        fresh->subnet_id = mem_dup(s->r.id);
    }
    made = t->associations.items;
    ec2_open(q, r);
    xml_text(&r->body, "associationId", made[at].id);
    buf_adds(&r->body, ASSOCIATED);
    ec2_close(q, r);
}

void ec2_DisassociateRouteTable(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *id = ec2_need(q, r, "AssociationId");
    if (!id)
        return;
    FOR_EACH(struct world_route_table, t, w, KIND_ROUTE_TABLE)
    {
        struct route_association *a = t->associations.items;
        for (size_t i = 0; i < t->associations.count; i++) {
            if (strcmp(a[i].id, id) != 0)
                continue;
            if (!a[i].subnet_id) {
                api_fail(r, 400, "InvalidParameterValue",
                         "cannot disassociate the main route table association %s", id);
                return;
            }
            if (ec2_dry_run(q, r))
                return;
            free(a[i].id);
            free(a[i].subnet_id);
            vec_remove(&t->associations, sizeof *a, i);
            ec2_answer_true(q, r);
            return;
        }
    }
    api_fail(r, 400, "InvalidAssociationID.NotFound", "The association ID '%s' does not exist", id);
}

void ec2_DeleteRouteTable(struct world *w, const struct api_request *q, struct api_reply *r)
{
    struct world_route_table *t = ec2_find_param(w, q, r, KIND_ROUTE_TABLE, "RouteTableId");
    if (!t)
        return;
    if (t->associations.count > 0) {
        ec2_dependency(r, "The routeTable '%s' has dependencies and cannot be deleted.", t->r.id);
        return;
    }
    if (ec2_dry_run(q, r))
        return;
    resource_remove(w, &t->r);
    ec2_answer_true(q, r);
}
