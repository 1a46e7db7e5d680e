"""Instacart, Retailrocket, REES46 and Olist, as they were published, become our tables."""

import pyarrow.parquet as pq
import pytest

from tests.examples.originals import at, convert, mine, run, write


@pytest.fixture
def instacart(tmp_path):
    write(
        tmp_path / "orders.csv",
        "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order\n"
        "11,7,prior,1,2,08,\n"
        "12,7,prior,2,3,07,15.0\n"
        "13,7,test,3,4,12,30.0\n"
        "14,8,train,1,0,23,\n",
    )
    header = "order_id,product_id,add_to_cart_order,reordered\n"
    write(tmp_path / "order_products__prior.csv", header + "11,1,1,0\n11,2,2,0\n12,1,1,1\n")
    write(tmp_path / "order_products__train.csv.gz", header + "14,3,1,0\n14,1,2,0\n")
    write(
        tmp_path / "products.csv",
        "product_id,product_name,aisle_id,department_id\n"
        "1,Chocolate Sandwich Cookies,61,19\n"
        '2,"All-Seasons Salt, 3\\"" Box",104,13\n'
        '3,"\\""Darn Good\\"" Chili Mix",100,21\n',
    )
    write(tmp_path / "aisles.csv", "aisle_id,aisle\n61,cookies cakes\n100,missing\n104,spices\n")
    write(
        tmp_path / "departments.csv", "department_id,department\n13,pantry\n19,snacks\n21,missing\n"
    )
    return tmp_path


def test_instacart_orders_are_sessions_without_times(instacart):
    assert convert("instacart", instacart) == {
        "events": [
            (
                "customer_id", "session_id", "product_id", "event", "order_number", "order_dow",
                "order_hour_of_day", "days_since_prior_order",
            ),
            ("7", "11", "1", "purchase", 1, 2, 8, None),
            ("7", "11", "2", "purchase", 1, 2, 8, None),
            ("7", "12", "1", "purchase", 2, 3, 7, 15.0),
            ("8", "14", "1", "purchase", 1, 0, 23, None),
            ("8", "14", "3", "purchase", 1, 0, 23, None),
        ],
        "products": [
            ("product_id", "title", "category", "product_type"),
            ("1", "Chocolate Sandwich Cookies", "snacks", "cookies cakes"),
            ("2", 'All-Seasons Salt, 3" Box', "pantry", "spices"),
            ("3", '"Darn Good" Chili Mix', None, None),
        ],
    }  # fmt: skip


def test_instacart_products_of_one_order_are_pairs(instacart):
    convert("instacart", instacart)
    pairs, _ = mine(instacart, instacart / "out" / "events.parquet")

    one = (1, 0, 0)
    assert pairs == {("1", "2"): one, ("2", "1"): one, ("1", "3"): one, ("3", "1"): one}


@pytest.fixture
def retailrocket(tmp_path):
    # item 355 and 400 bought in one transaction; visitor 2 compares 355 with 401 and buys 401
    write(
        tmp_path / "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,1,view,355,\n"
        "1433221332117,1,view,355,\n"
        "1433221400000,1,addtocart,355,\n"
        "1433221500000,1,transaction,355,4000\n"
        "1433221500000,1,transaction,400,4000\n"
        "1433307700000,2,view,355,\n"
        "1433307800000,2,view,401,\n"
        "1433307900000,2,transaction,401,4001\n",
    )
    header = "timestamp,itemid,property,value\n"
    write(
        tmp_path / "item_properties_part1.csv",
        header + "1431226800000,355,categoryid,1002\n"
        "1435460400000,355,categoryid,1001\n"
        "1435460400000,355,888,1116713 960601 n277.200\n"
        "1431226800000,400,categoryid,1002\n",
    )
    write(
        tmp_path / "item_properties_part2.csv",
        header + "1433041200000,355,categoryid,1000\n"
        "1433041200000,401,categoryid,7777\n"
        "1433041200000,401,available,1\n"
        "1433041200000,500,available,0\n",
    )
    write(tmp_path / "category_tree.csv", "categoryid,parentid\n1001,1000\n1002,1001\n1000,\n")
    return tmp_path


def test_retailrocket_transactions_are_sessions_and_types_are_the_last_category(retailrocket):
    day1, day2 = at("2015-06-02 00:00:00"), at("2015-06-03 00:00:00")

    assert convert("retailrocket", retailrocket) == {
        "events": [
            ("customer_id", "session_id", "product_id", "event", "ts"),
            ("1", "4000", "355", "purchase", at("2015-06-02 05:05:00")),
            ("1", "4000", "400", "purchase", at("2015-06-02 05:05:00")),
            ("1", None, "355", "cart", at("2015-06-02 05:03:20")),
            ("1", None, "355", "view", at("2015-06-02 05:02:12.117")),
            ("1", None, "355", "view", at("2015-06-02 05:02:12.117")),
            ("2", "4001", "401", "purchase", at("2015-06-03 05:05:00")),
            ("2", None, "355", "view", at("2015-06-03 05:01:40")),
            ("2", None, "401", "view", at("2015-06-03 05:03:20")),
        ],
        "page_views": [
            ("product_id", "views", "ts"),
            ("355", 1, day2),
            ("355", 2, day1),
            ("401", 1, day2),
        ],
        "products": [
            ("product_id", "category", "product_type"),
            ("355", "1000", "1001"),
            ("400", "1000", "1002"),
            ("401", None, "7777"),
        ],
    }


def test_retailrocket_views_meet_without_sessions(retailrocket):
    convert("retailrocket", retailrocket)
    pairs, said = mine(retailrocket, retailrocket / "out" / "events.parquet")

    assert pairs == {
        ("355", "400"): (1, 0, 0),
        ("400", "355"): (1, 0, 0),
        ("355", "401"): (0, 1, 1),
        ("401", "355"): (0, 1, 0),
    }
    assert "skipped: cart 1" in said


@pytest.fixture
def rees46(tmp_path):
    header = (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n"
    )
    write(
        tmp_path / "2019-Oct.csv",
        header + "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,5,s1\n"
        "2019-10-01 00:00:01 UTC,view,3900821,2053013552326770905,"
        "appliances.environment.water_heater,aqua,33.20,5,s1\n"
        "2019-10-01 00:00:02 UTC,cart,3900821,2053013552326770905,"
        "appliances.environment.water_heater,aqua,33.20,5,s1\n"
        "2019-10-01 00:00:03 UTC,purchase,3900821,2053013552326770905,"
        "appliances.environment.water_heater,aqua,33.20,5,s1\n"
        "2019-10-01 00:00:03 UTC,purchase,3900821,2053013552326770905,"
        "appliances.environment.water_heater,aqua,33.20,5,s1\n",
    )
    write(
        tmp_path / "2019-Nov.csv.gz",
        header + "2019-11-01 10:00:00 UTC,view,3900821,2053013552326770905,,,30.00,6,\n",
    )
    return tmp_path


def test_rees46_products_are_what_their_last_known_row_says(rees46):
    convert_time = at("2019-10-01 00:00:03")
    water_heater = "appliances.environment.water_heater"

    assert convert("rees46", rees46) == {
        "events": [
            ("customer_id", "session_id", "product_id", "event", "ts"),
            ("5", "s1", "3900821", "cart", at("2019-10-01 00:00:02")),
            ("5", "s1", "3900821", "purchase", convert_time),
            ("5", "s1", "3900821", "purchase", convert_time),
            ("5", "s1", "3900821", "view", at("2019-10-01 00:00:01")),
            ("5", "s1", "44600062", "view", at("2019-10-01 00:00:00")),
            ("6", None, "3900821", "view", at("2019-11-01 10:00:00")),
        ],
        "page_views": [
            ("product_id", "views", "ts"),
            ("3900821", 1, at("2019-10-01 00:00:00")),
            ("3900821", 1, at("2019-11-01 00:00:00")),
            ("44600062", 1, at("2019-10-01 00:00:00")),
        ],
        "products": [
            ("product_id", "category", "product_type", "brand", "price"),
            ("3900821", "appliances", water_heater, "aqua", 30.0),
            ("44600062", None, "2103807459595387724", "shiseido", 35.79),
        ],
    }


def test_rees46_views_and_purchases_are_mined(rees46):
    convert("rees46", rees46)
    pairs, _ = mine(rees46, rees46 / "out" / "events.parquet")

    assert pairs == {
        ("3900821", "44600062"): (0, 1, 0),
        ("44600062", "3900821"): (0, 1, 1),
    }


OLIST = {
    "olist_orders_dataset.csv": (
        '"order_id","customer_id","order_status","order_purchase_timestamp","order_approved_at",'
        '"order_delivered_carrier_date","order_delivered_customer_date",'
        '"order_estimated_delivery_date"\n'
        '"o1","c1","delivered","2017-10-02 10:56:33","2017-10-02 11:07:15","","","2017-10-18"\n'
        "o2,c2,shipped,2017-10-05 09:00:00,,,,2017-10-20 00:00:00\n"
        "o3,c3,canceled,2018-01-01 00:00:00,,,,2018-01-20 00:00:00\n"
        "o4,c3,unavailable,2018-01-01 00:00:00,,,,2018-01-20 00:00:00\n"
    ),
    "olist_customers_dataset.csv": (
        '"customer_id","customer_unique_id","customer_zip_code_prefix","customer_city",'
        '"customer_state"\n'
        '"c1","ann","01151","sao paulo","SP"\n"c2","ann","01151","sao paulo","SP"\n'
        '"c3","ben","01151","santa barbara d\'oeste, centro","SP"\n'
    ),
    "olist_order_items_dataset.csv": (
        '"order_id","order_item_id","product_id","seller_id","shipping_limit_date","price",'
        '"freight_value"\n'
        '"o1",1,"p1","s1","2017-10-06 11:07:15",10.00,8.72\n'
        '"o1",2,"p1","s1","2017-10-06 11:07:15",12.00,8.72\n'
        '"o2",1,"p2","s2","2017-10-09 11:07:15",30.00,8.72\n'
        '"o3",1,"p2","s1","2018-01-09 11:07:15",34.00,8.72\n'
        '"o3",2,"p1","s9","2018-01-09 11:07:15",14.00,8.72\n'
    ),
    "olist_products_dataset.csv": (
        '"product_id","product_category_name","product_name_lenght","product_description_lenght",'
        '"product_photos_qty","product_weight_g"\n'
        '"p1","perfumaria",40,287,1,225\n"p2","pc_gamer",44,276,1,1000\n"p3",,,,,\n'
    ),
    "product_category_name_translation.csv": (
        "\ufeffproduct_category_name,product_category_name_english\r\nperfumaria,perfumery\r\n"
    ),
    "olist_sellers_dataset.csv": (
        '"seller_id","seller_zip_code_prefix","seller_city","seller_state"\n'
        '"s1","13023","campinas","SP"\n"s2","13844","mogi guacu, centro","SP"\n'
    ),
}


@pytest.fixture
def olist(tmp_path):
    for name, text in OLIST.items():
        write(tmp_path / name, text)
    return tmp_path


def test_olist_gives_purchases_of_persons_and_listings_of_sellers(olist):
    assert convert("olist", olist) == {
        "events": [
            ("customer_id", "session_id", "product_id", "event", "ts"),
            ("ann", "o1", "p1", "purchase", at("2017-10-02 10:56:33")),
            ("ann", "o2", "p2", "purchase", at("2017-10-05 09:00:00")),
            ("ben", "o3", "p1", "canceled", at("2018-01-01 00:00:00")),
            ("ben", "o3", "p2", "canceled", at("2018-01-01 00:00:00")),
        ],
        "listings": [("seller_id", "product_id"), ("s1", "p1"), ("s1", "p2"), ("s2", "p2")],
        "products": [
            ("product_id", "category", "price"),
            ("p1", "perfumery", 12.0),
            ("p2", "pc_gamer", 32.0),
            ("p3", None, None),
        ],
    }


def test_olist_orders_of_one_person_meet_and_its_listings_make_a_graph(olist):
    convert("olist", olist)
    out = olist / "out"
    pairs, _ = mine(olist, out / "events.parquet")
    assert pairs == {("p1", "p2"): (1, 0, 0)}

    done = run(
        "-m", "cprtools", "build-graph", "--listings", out / "listings.parquet", "--pairs",
        olist / "pairs.parquet", "--products", out / "products.parquet", "--min-bought-together",
        "1", "-o", olist / "graph",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    edges = pq.read_table(olist / "graph" / "edges.parquet").to_pylist()
    listed = {(e["source_id"], e["target_id"]) for e in edges if e["relation"] == "lists"}
    assert listed == {("s1", "p1"), ("s1", "p2"), ("s2", "p2")}
