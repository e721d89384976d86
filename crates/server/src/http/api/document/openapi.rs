//! Makes the OpenAPI document: gathered from the handlers, completed with what holds for all of them.

use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayItems, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::http::api::document::examples;
use crate::http::api::document::schema;
use crate::http::api::guard::scope::Scope;
use crate::http::api::problem::{PROBLEM_JSON, Refusal};

/// How the document calls the two ways to sign in.
const API_KEY: &str = "apiKey";
const USER_TOKEN: &str = "userToken";

const DESCRIPTION: &str = "Administration of channels, people and calls for the host application, and what users may look at.\n\n\
    Errors are `application/problem+json` (RFC 9457); `code` is one of a closed list. Times are RFC 3339. Lists come in pages: \
    give `next` as `after` of the next request. Bodies have at most 16 KiB, and no fields but those described.";

/// The document before there are any routes in it.
pub fn base() -> OpenApi {
    let info = InfoBuilder::new().title("Parlor").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION)).build();
    let bearer = |format: &str, description: &str| {
        let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).description(Some(description)).build();
        SecurityScheme::Http(http)
    };
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schema::all())
        .schema(Refusal::name(), <Refusal as utoipa::PartialSchema>::schema())
        .security_scheme(API_KEY, bearer("parlor_<id>_<secret>", "An API key of the host application, with scopes."))
        .security_scheme(USER_TOKEN, bearer("JWT", "The token a user connects with."))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Notes that operations need an API key with a scope.
pub fn need_key(document: &mut OpenApi, scope: Scope) {
    for operation in each_operation(document) {
        let needs = format!("Needs an API key with the scope `{scope}`.");
        operation.description = Some(match operation.description.take().filter(|text| !text.is_empty()) {
            Some(text) => format!("{text}\n\n{needs}"),
            None => needs,
        });
        operation.security = Some(vec![SecurityRequirement::new(API_KEY, [scope.name()])]);
        refusal(operation, 401, "The API key is missing or not valid");
        refusal(operation, 403, "The API key lacks the scope");
    }
}

/// Notes that operations need a token, or an API key that may see channels.
pub fn need_visitor(document: &mut OpenApi) {
    for operation in each_operation(document) {
        let either = [SecurityRequirement::new(USER_TOKEN, [""; 0]), SecurityRequirement::new(API_KEY, [Scope::ChannelsRead.name()])];
        operation.security = Some(either.into());
        refusal(operation, 401, "The token or API key is missing or not valid");
        refusal(operation, 403, "The user may not join the channel now, or the API key lacks the scope `channels:read`");
    }
}

/// Notes that operations need a user's token.
pub fn need_user(document: &mut OpenApi) {
    for operation in each_operation(document) {
        operation.security = Some(vec![SecurityRequirement::new(USER_TOKEN, [""; 0])]);
        refusal(operation, 401, "The token is missing or not valid, or the user was signed out");
    }
}

/// Adds the refusals that follow from what an operation takes, and the shape of all of them.
pub fn complete(document: &mut OpenApi) {
    name_items(document);
    for (path, item) in &mut document.paths.paths {
        if let Some(operation) = &mut item.delete {
            refusal(operation, 404, "It does not exist, or was removed already: it is as you wanted it");
        }
        for operation in operations(item) {
            complete_operation(path, operation);
        }
    }
}

/// Refers to the schema of an item by name wherever a list has such items, instead of writing it out again: who
/// generates a client from the document gets one type for a channel, wherever it comes from.
fn name_items(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    for (list, schema) in &mut components.schemas {
        let Some(item) = list.strip_prefix("List_") else { continue };
        if let RefOr::T(Schema::Object(page)) = schema
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn complete_operation(path: &str, operation: &mut Operation) {
    if path.starts_with("/api/") {
        refusal(operation, 429, "Too often: `Retry-After` says how many seconds to wait");
        refusal(operation, 500, "Something went wrong on the server");
        refusal(operation, 503, "The store does not answer, or the server stops: try again");
    }
    refusal(operation, 400, "A parameter or field is not as it must be, or unknown; `field` names it");
    if path.contains('{') {
        refusal(operation, 404, "It does not exist");
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(show_an_example);
        refusal(operation, 413, "The body is larger than 16 KiB");
        refusal(operation, 415, "The body is not `application/json`");
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            shape(status, response);
        }
    }
}

fn show_an_example(content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    if let Some(RefOr::Ref(schema)) = &content.schema {
        content.example = schema.ref_location.rsplit('/').next().and_then(examples::body);
    }
}

/// Adds a refusal to an operation, unless the handler describes it itself.
fn refusal(operation: &mut Operation, status: u16, description: &str) {
    let described = operation.responses.responses.entry(status.to_string());
    described.or_insert_with(|| ResponseBuilder::new().description(description).build().into());
}

/// Gives a refusal its body, which is the same for all of them; some also have a header.
fn shape(status: &str, response: &mut Response) {
    let is_refusal = status.starts_with('4') || status.starts_with('5');
    if !is_refusal || !response.content.is_empty() {
        return;
    }
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Refusal::name()))).build();
    response.content.insert(PROBLEM_JSON.to_owned(), content.into());
    let (name, kind, description) = match status {
        "401" => ("WWW-Authenticate", Type::String, "`Bearer`"),
        "429" | "503" => ("Retry-After", Type::Integer, "Seconds to wait"),
        _ => return,
    };
    let header = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(description)).build();
    response.headers.insert(name.to_owned(), header.into());
}

fn each_operation(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(operations)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}
