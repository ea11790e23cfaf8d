//! What `#[pg_table_am]` emits, and where its errors point.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proc_macro2::TokenStream;
use quote::quote;
use syn::{File, Item, Stmt};

use super::expand;

/// The message of the error that an expansion ends in.
fn error(attribute: TokenStream, item: TokenStream) -> String {
    match expand(attribute, item) {
        Ok(tokens) => panic!("expanded to {tokens}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn emits_struct_routine_handler_and_finfo() {
    let tokens = expand(
        quote!(handler = "my_tableam_handler"),
        quote!(
            /// Documented.
            pub struct MyAm;
        ),
    )
    .unwrap();
    let file: File = syn::parse2(tokens).unwrap();
    assert_eq!(file.items.len(), 2);
    let Item::Struct(item) = &file.items[0] else {
        panic!("the struct comes first");
    };
    assert_eq!(item.ident, "MyAm");
    assert_eq!(item.attrs.len(), 1, "attributes are kept");

    let Item::Const(scope) = &file.items[1] else {
        panic!("the rest is in an anonymous constant");
    };
    let syn::Expr::Block(block) = &*scope.expr else {
        panic!("the constant is a block");
    };
    let functions: Vec<_> = block
        .block
        .stmts
        .iter()
        .filter_map(|statement| match statement {
            Stmt::Item(Item::Fn(function)) => Some(function),
            _ => None,
        })
        .collect();
    let names: Vec<_> = functions.iter().map(|f| f.sig.ident.to_string()).collect();
    assert_eq!(names, ["my_tableam_handler", "pg_finfo_my_tableam_handler"]);
    for function in functions {
        let exported = function
            .attrs
            .iter()
            .any(|attribute| quote!(#attribute).to_string().contains("no_mangle"));
        assert!(exported, "{} is exported", function.sig.ident);
    }
}

#[test]
fn wants_a_handler() {
    assert!(
        error(
            quote!(),
            quote!(
                struct Am;
            )
        )
        .contains("wants the handler")
    );
}

#[test]
fn refuses_unknown_and_repeated_arguments() {
    assert!(
        error(
            quote!(name = "x"),
            quote!(
                struct Am;
            )
        )
        .contains("unknown argument")
    );
    assert!(
        error(
            quote!(handler = "x", handler = "y"),
            quote!(
                struct Am;
            )
        )
        .contains("given twice")
    );
}

#[test]
fn refuses_names_that_no_function_can_have() {
    assert!(
        error(
            quote!(handler = "no-name"),
            quote!(
                struct Am;
            )
        )
        .contains("identifier")
    );
    assert!(
        error(
            quote!(handler = ""),
            quote!(
                struct Am;
            )
        )
        .contains("identifier")
    );
}

#[test]
fn refuses_other_items() {
    let handler = || quote!(handler = "x");
    assert!(
        error(
            handler(),
            quote!(
                enum Am {}
            )
        )
        .contains("unit struct")
    );
    assert!(
        error(
            handler(),
            quote!(
                struct Am(u8);
            )
        )
        .contains("no fields")
    );
    assert!(
        error(
            handler(),
            quote!(
                struct Am {
                    a: u8,
                }
            )
        )
        .contains("no fields")
    );
    assert!(
        error(
            handler(),
            quote!(
                struct Am<T>;
            )
        )
        .contains("generic")
    );
}
