//! `#[pg_table_am]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::Parser;
use syn::{Error, Fields, Ident, ItemStruct, LitStr, Result};

/// The handler's name from the attribute, and the item with what the attribute adds to it.
pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let handler = parse_handler(attribute)?;
    let item: ItemStruct = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), "#[pg_table_am] goes on a unit struct"))?;
    if !matches!(item.fields, Fields::Unit) {
        return Err(Error::new_spanned(
            &item.fields,
            "a table access method has no fields: #[pg_table_am] goes on a unit struct",
        ));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "a table access method cannot be generic: it has one handler function",
        ));
    }

    let access_method = &item.ident;
    let finfo = format_ident!("pg_finfo_{}", handler, span = handler.span());
    Ok(quote! {
        #item

        const _: () = {
            use ::pg_lakebase_core::table_am::__private::pg_sys;
            use ::pg_lakebase_core::table_am::Routine;

            static ROUTINE: Routine = Routine::new::<#access_method>();

            /// The handler that CREATE ACCESS METHOD names. It cannot fail, so that it needs no
            /// guard.
            #[allow(unsafe_code, reason = "PostgreSQL looks the function up by name")]
            #[unsafe(no_mangle)]
            pub extern "C-unwind" fn #handler(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
                pg_sys::Datum::from(ROUTINE.as_ptr())
            }

            /// The version-1 calling convention record of the handler.
            #[allow(unsafe_code, reason = "PostgreSQL looks the function up by name")]
            #[unsafe(no_mangle)]
            pub extern "C" fn #finfo() -> *const pg_sys::Pg_finfo_record {
                static RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
                &raw const RECORD
            }
        };
    })
}

fn parse_handler(attribute: TokenStream) -> Result<Ident> {
    let mut handler: Option<Ident> = None;
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("handler") {
            return Err(meta.error("unknown argument: #[pg_table_am] takes `handler = \"name\"`"));
        }
        if handler.is_some() {
            return Err(meta.error("`handler` is given twice"));
        }
        let literal: LitStr = meta.value()?.parse()?;
        handler = Some(literal.parse::<Ident>().map_err(|_| {
            Error::new(
                literal.span(),
                "the handler's name must be an identifier: it becomes an exported function",
            )
        })?);
        Ok(())
    });
    parser.parse2(attribute)?;
    handler.ok_or_else(|| {
        Error::new(
            proc_macro2::Span::call_site(),
            "#[pg_table_am] wants the handler function's name: handler = \"name\"",
        )
    })
}

#[cfg(test)]
#[path = "table_am_tests.rs"]
mod tests;
